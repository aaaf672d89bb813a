import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Logger } from 'pino'
import { nulDefect, parseForm, parseJson } from './body.js'
import type { HttpConfig } from './config.js'
import { limitConnections } from './connection.js'
import { type Correlation, correlationFrom, withCorrelation } from './correlation.js'
import { withoutRedaction } from './logger.js'
import { httpDuration } from './metrics.js'
import type { Readiness } from './operations.js'
import { sendProblem, toProblem } from './problem.filter.js'
import { type ProblemError, problems } from './problem.js'
import { rememberRoutes } from './routes.js'
import { closeSpan, openSpan, SpanKind } from './tracing.js'

declare module 'fastify' {
  interface FastifyRequest {
    correlation: Correlation
    /** Client of the request's token, for the access log; set by the authentication guard. */
    clientId?: string
  }
}

const API_POLICY = "default-src 'none'; frame-ancestors 'none'"
/** Asked every few seconds by machines. */
const QUIET = new Set(['/health', '/ready', '/metrics'])
const DOCS_POLICY =
  "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'"

/** The request's correlation, made on first use: what answers before our hooks (CORS, the router) has one, too. */
const correlate = (request: FastifyRequest): Correlation => {
  request.correlation ??= correlationFrom(request.headers)
  return request.correlation
}

interface HttpOptions {
  service: string
  logger: Logger
  readiness: Readiness
  config: HttpConfig
}

/** Headers that every response carries (OWASP ASVS 5.0 V3.4); a route may set its own policy and `cache-control`. */
function secure(request: FastifyRequest, reply: FastifyReply, { readiness, config }: HttpOptions): void {
  reply.header('x-correlation-id', correlate(request).correlationId)
  reply.header('x-content-type-options', 'nosniff')
  reply.header('x-frame-options', 'DENY')
  reply.header('referrer-policy', 'no-referrer')
  if (!reply.hasHeader('content-security-policy'))
    reply.header('content-security-policy', request.url.startsWith('/docs') ? DOCS_POLICY : API_POLICY)
  reply.header(
    'cross-origin-resource-policy',
    config.CORS_ORIGINS.length > 0 ? 'cross-origin' : 'same-origin',
  )
  if (config.TLS_CERT) reply.header('strict-transport-security', 'max-age=31536000; includeSubDomains')
  if (!reply.hasHeader('cache-control')) reply.header('cache-control', 'no-store')
  // A kept-alive connection would hold the shutdown until it times out.
  if (!readiness.accepting) reply.header('connection', 'close')
}

/** Only bodies that we parse strictly are accepted; everything else is 415. */
function acceptBodies(fastify: FastifyInstance): void {
  fastify.removeAllContentTypeParsers()
  const parser = (parse: (bytes: Uint8Array) => unknown) => (_: FastifyRequest, body: Buffer, done: Done) => {
    try {
      done(null, parse(body))
    } catch (error) {
      done(error as Error)
    }
  }
  fastify.addContentTypeParser(
    /^application\/(?:[\w.+-]+\+)?json(?:;|$)/,
    { parseAs: 'buffer' },
    parser(parseJson),
  )
  fastify.addContentTypeParser('application/x-www-form-urlencoded', { parseAs: 'buffer' }, parser(parseForm))
}
type Done = (error: Error | null, body?: unknown) => void

export const timesOf = ({ HEADERS_TIMEOUT_MS, BODY_TIMEOUT_MS }: HttpConfig) => ({
  headersMs: HEADERS_TIMEOUT_MS,
  bodyMs: BODY_TIMEOUT_MS,
})
const requiresCertificate = ({ TLS_CLIENT_CA, TLS_CLIENT_AUTH }: HttpConfig) =>
  TLS_CLIENT_CA !== undefined && TLS_CLIENT_AUTH === 'required'

/** What is wrong with a compressed body: none is unpacked here (RFC 9110 15.5.16), as a small one may hold gigabytes. */
function encodingDefect({ headers }: FastifyRequest): ProblemError | undefined {
  const encoding = headers['content-encoding']
  if (encoding === undefined || /^(?:identity)?$/i.test(encoding)) return undefined
  const name = /^[\w!#$%&'*+.^`|~, -]{1,64}$/.test(encoding) ? ` ${encoding}` : ''
  return problems.unsupportedMediaType({
    detail: `The Content-Encoding${name} is not supported: send the body as it is`,
    headers: { 'accept-encoding': 'identity' },
  })
}

/** The span of a request, by route pattern (never URL); those of probes are of no use. */
function traceRequest({ method, routeOptions }: FastifyRequest, context: Correlation): void {
  const route = routeOptions.url ?? 'unmatched'
  if (QUIET.has(route)) return
  const attributes = { 'http.request.method': method, 'http.route': route }
  openSpan(context, `${method} ${route}`, { kind: SpanKind.SERVER, attributes })
}

/** Installs correlation, access log, metrics, strict bodies and problem+json on a Fastify instance. */
export function installHttp(fastify: FastifyInstance, options: HttpOptions): void {
  const { service, config } = options
  const access = withoutRedaction(options.logger)
  fastify.decorateRequest('correlation')
  fastify.addHook('onRequest', (request, _reply, done) => {
    const context = correlate(request)
    traceRequest(request, context)
    withCorrelation(context, done)
  })
  fastify.addHook('onRequestAbort', async (request) => closeSpan(request.correlation.span))
  fastify.addHook('onRequest', (request, _reply, done) => done(nulDefect(request.url)))
  fastify.addHook('onRequest', (request, _reply, done) => done(encodingDefect(request)))
  limitConnections(fastify, timesOf(config), requiresCertificate(config))
  // The body parser resumes in the socket's context: enter the request's again.
  fastify.addHook('preValidation', (request, _reply, done) => withCorrelation(request.correlation, done))
  fastify.addHook('onSend', (request, reply, _payload, done) => {
    secure(request, reply, options)
    done()
  })
  fastify.addHook('onResponse', (request, reply, done) => {
    const route = request.routeOptions.url ?? 'unmatched'
    const labels = { service, method: request.method, route, status: String(reply.statusCode) }
    httpDuration.observe(labels, reply.elapsedTime / 1000)
    request.correlation.span?.setAttribute('http.response.status_code', reply.statusCode)
    closeSpan(request.correlation.span, reply.statusCode >= 500 ? labels.status : undefined)
    const level = QUIET.has(route) ? 'debug' : 'info'
    const { method, status } = labels
    access[level](
      {
        method,
        route,
        status: Number(status),
        duration_ms: Math.round(reply.elapsedTime * 10) / 10,
        client_id: request.clientId,
        correlation_id: correlate(request).correlationId,
      },
      'request',
    )
    done()
  })
  acceptBodies(fastify)
  rememberRoutes(fastify)
}

/** Problems for what fails before a route is found: malformed URLs, unknown routes. */
export const frameworkErrors = (error: Error, request: FastifyRequest, reply: FastifyReply): void => {
  withCorrelation(correlate(request), () => sendProblem(reply, toProblem(error)))
}
