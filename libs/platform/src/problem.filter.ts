import { type ArgumentsHost, Catch, type ExceptionFilter, HttpException } from '@nestjs/common'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Logger } from 'pino'
import { correlation } from './correlation.js'
import { isUnavailable } from './database.js'
import { ProblemError, problemForStatus, problems } from './problem.js'
import { unroutedProblem } from './routes.js'

const statusOf = (error: unknown): number | undefined => {
  if (error instanceof HttpException) return error.getStatus()
  const status = (error as { statusCode?: unknown } | null)?.statusCode
  return typeof status === 'number' ? status : undefined
}

/** Any thrown value as a problem of the catalogue; what is not known becomes 500 without any detail. */
export function toProblem(error: unknown): ProblemError {
  if (error instanceof ProblemError) return error
  const status = statusOf(error)
  if (status !== undefined && status < 500) return problemForStatus(status)
  if (isUnavailable(error) || status === 503) return problems.unavailable({ headers: { 'retry-after': '1' } })
  return problems.internal()
}

/** Writes a problem to a Fastify reply. */
export function sendProblem(reply: FastifyReply, problem: ProblemError): void {
  const instance = `urn:uuid:${correlation().correlationId}`
  void reply
    .status(problem.status)
    .headers({ 'cache-control': 'no-store', ...problem.options.headers })
    .type('application/problem+json')
    .send(JSON.stringify(problem.toDetails(instance)))
}

/** Every error of every kind leaves as RFC 9457 `application/problem+json`. */
@Catch()
export class ProblemFilter implements ExceptionFilter {
  constructor(private readonly logger: Logger) {}

  catch(error: unknown, host: ArgumentsHost): void {
    const http = host.switchToHttp()
    const request = http.getRequest<FastifyRequest>()
    const problem = request.is404 ? unroutedProblem(request) : toProblem(error)
    if (problem.status >= 500) this.logger.error({ err: error, problem: problem.code }, 'request failed')
    const reply = http.getResponse<FastifyReply>()
    if (reply.sent) return
    sendProblem(reply, problem)
  }
}
