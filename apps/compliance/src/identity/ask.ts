import { AsyncLocalStorage } from 'node:async_hooks'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { inject } from 'light-my-request'
import type Provider from 'oidc-provider'

/** What the provider's callbacks need of the request at hand, and what went wrong in them. */
interface Asking {
  /** `x5t#S256` of the client certificate of the connection (RFC 8705 3.1). */
  certificate?: string
  /** Whether a certificate was asked for that the connection does not have. */
  lacksCertificate?: boolean
  failure?: Error
}

const asking = new AsyncLocalStorage<Asking>()

export function certificateAtHand(): string | undefined {
  const current = asking.getStore()
  if (current && current.certificate === undefined) current.lacksCertificate = true
  return current?.certificate
}

/** Keeps what the provider would answer with `server_error`, for whoever asked. */
export function reportFailures(provider: Provider): void {
  provider.on('server_error', (_context, error: Error) => {
    const current = asking.getStore()
    if (current) current.failure = error
  })
}

export interface ProviderAnswer {
  status: number
  headers: Record<string, string | string[]>
  body: string
  lacksCertificate?: boolean
}

export interface ProviderRequest {
  method: 'GET' | 'POST'
  url: string
  accept: 'text/html' | 'application/json'
  headers?: Record<string, string | undefined>
  form?: Record<string, string>
  certificate?: string
}

/** What a browser request hands on. No `Origin`: cross-origin reading of our answers stays closed. */
const passedOn = ({ headers, protocol, hostname }: FastifyRequest) => ({
  cookie: headers.cookie,
  'user-agent': headers['user-agent'],
  // Fastify has counted the proxy hops: what it found is what the provider may believe.
  'x-forwarded-proto': protocol,
  host: headers.host ?? hostname,
})

/**
 * Puts a request to the provider (a Koa application) within our own: bodies are parsed by our strict parsers, answers
 * leave through our filters, headers and limits. Throws what failed inside, such as a database that is down.
 */
export async function ask(
  provider: Provider,
  request: FastifyRequest,
  { method, url, accept, headers = {}, form, certificate }: ProviderRequest,
): Promise<ProviderAnswer> {
  const state: Asking = { certificate }
  const all = { ...passedOn(request), accept, ...headers }
  const present = Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined))
  // Awaited inside: the request is only put when somebody waits for it.
  const response = await asking.run(
    state,
    async () =>
      await inject(provider.callback(), {
        method,
        url,
        remoteAddress: request.ip,
        headers: {
          ...(present as Record<string, string>),
          ...(form ? { 'content-type': 'application/x-www-form-urlencoded' } : {}),
        },
        ...(form ? { payload: new URLSearchParams(form).toString() } : {}),
      }),
  )
  if (state.failure) throw state.failure
  return {
    status: response.statusCode,
    headers: response.headers as ProviderAnswer['headers'],
    body: response.payload,
    lacksCertificate: state.lacksCertificate ?? false,
  }
}

const NOT_OURS = new Set(['connection', 'date', 'content-length', 'transfer-encoding', 'keep-alive'])

/** Sends the provider's answer as it is. */
export function pass(reply: FastifyReply, { status, headers, body }: ProviderAnswer): FastifyReply {
  for (const [name, value] of Object.entries(headers)) if (!NOT_OURS.has(name)) reply.header(name, value)
  return reply.status(status).send(body)
}
