import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { withCorrelation } from './correlation.js'
import { newId } from './ids.js'
import { sendProblem } from './problem.filter.js'
import { type ProblemError, problems } from './problem.js'
import { clientCertificate } from './tls.js'

/** 16 KiB of headers and request line, what Node refuses by itself with 431. */
const MAX_HEADER_BYTES = 16 * 1024
const MAX_HEADER_FIELDS = 100
const LINGER_MS = 2_000

interface Times {
  headersMs: number
  bodyMs: number
}

/** Options of Node's server: slow or large headers cost little; how late a slow one is noticed depends on its limit. */
export const serverOptions = ({ headersMs }: Times) => ({
  headersTimeout: headersMs,
  connectionsCheckingInterval: Math.max(100, Math.min(5_000, headersMs / 2)),
  maxHeaderSize: MAX_HEADER_BYTES,
  // Two parsers that disagree on where a request ends are request smuggling (RFC 9112 11.2).
  insecureHTTPParser: false,
})

function problemOf({ code }: NodeJS.ErrnoException): ProblemError {
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return problems.timeout()
  if (code === 'HPE_HEADER_OVERFLOW') return problems.headersTooLarge()
  return problems.invalidRequest({ detail: 'This is not HTTP/1.1' })
}

/** Answers what never became a request: no HTTP, headers that are too large or do not come. */
export function refuseConnection(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || socket.destroyed) return
  const problem = problemOf(error)
  const body = JSON.stringify(problem.toDetails(`urn:uuid:${newId()}`))
  const head = [
    `HTTP/1.1 ${problem.status} ${problem.title}`,
    'Content-Type: application/problem+json',
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Cache-Control: no-store',
    'X-Content-Type-Options: nosniff',
    'Connection: close',
  ]
  if (socket.writable) socket.end(`${head.join('\r\n')}\r\n\r\n${body}`)
  setTimeout(() => socket.destroy(), LINGER_MS).unref()
}

/** Open without a client certificate: probes have none, and verifiers of our tokens need the public keys. */
const OPEN = /^\/(?:health|ready|\.well-known\/[a-z.-]+)$/

/** With mTLS, whoever comes without a good certificate goes. */
function certificateProblem({ raw, url }: FastifyRequest, required: boolean): ProblemError | undefined {
  const { state } = clientCertificate(raw.socket)
  if (state === 'untrusted')
    return problems.unauthenticated({ detail: 'The client certificate is not of our authority' })
  if (state === 'none' && required && !OPEN.test(url))
    return problems.unauthenticated({ detail: 'A client certificate is needed' })
  return undefined
}

const refuse = (request: FastifyRequest, reply: FastifyReply, problem: ProblemError) =>
  withCorrelation(request.correlation, () => sendProblem(reply.header('connection', 'close'), problem))

/**
 * Limits what a connection may cost: number of header fields, time for a body that is read whole, and the rest of a
 * body that nobody reads. `requireCertificate` is for mTLS. After the hook that gives the request its correlation.
 */
export function limitConnections(
  fastify: FastifyInstance,
  { bodyMs }: Times,
  requireCertificate: boolean,
): void {
  const timers = new WeakMap<FastifyRequest, NodeJS.Timeout>()
  ;(fastify.server as Server).maxHeadersCount = 0
  fastify.addHook('onRequest', (request, reply, done) => {
    if (request.raw.rawHeaders.length > 2 * MAX_HEADER_FIELDS)
      return refuse(request, reply, problems.headersTooLarge())
    const problem = certificateProblem(request, requireCertificate)
    return problem ? refuse(request, reply, problem) : done()
  })
  // Between these two hooks a body that is read whole arrives; a streamed one is read later, by its route.
  fastify.addHook('preParsing', (request, reply, _payload, done) => {
    const tooSlow = () => void (reply.sent || refuse(request, reply, problems.timeout()))
    if (!request.raw.complete) timers.set(request, setTimeout(tooSlow, bodyMs).unref())
    done()
  })
  const arrived = (request: FastifyRequest) => clearTimeout(timers.get(request))
  fastify.addHook('preValidation', (request, _reply, done) => {
    arrived(request)
    done()
  })
  // RFC 9112 9.6: the sender may still read our answer while it sends, but not for long.
  fastify.addHook('onResponse', (request, _reply, done) => {
    arrived(request)
    done()
    if (request.raw.complete) return
    setTimeout(() => void (request.raw.complete || request.raw.socket.destroy()), LINGER_MS).unref()
  })
}
