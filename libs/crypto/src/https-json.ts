import { Agent as HttpAgent, request as httpRequest } from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import { KeyServiceUnavailableError } from './provider.js'

interface Options {
  /** PEM certificates to trust instead of the system's. */
  ca?: string
  timeoutMs: number
}

interface Answer {
  status: number
  body: unknown
}

/** Most bytes of an answer that are read. */
const LIMIT = 1_048_576

function parse(text: string): unknown {
  try {
    return text === '' ? {} : JSON.parse(text)
  } catch {
    return {}
  }
}

/** A small JSON client over kept-alive connections; no redirects. Rejects with KeyServiceUnavailableError. */
export class JsonClient {
  private readonly agent: HttpAgent | HttpsAgent
  private readonly base: URL

  constructor(
    base: string,
    private readonly options: Options,
  ) {
    this.base = new URL(base)
    this.agent =
      this.base.protocol === 'https:'
        ? new HttpsAgent({ keepAlive: true, maxSockets: 16, ...(options.ca ? { ca: options.ca } : {}) })
        : new HttpAgent({ keepAlive: true, maxSockets: 16 })
  }

  async send(method: string, path: string, headers: Record<string, string>, body?: object): Promise<Answer> {
    const text = body === undefined ? undefined : JSON.stringify(body)
    const send = this.base.protocol === 'https:' ? httpsRequest : httpRequest
    return new Promise((resolve, reject) => {
      const away = (error: Error & { code?: string }) =>
        reject(
          new KeyServiceUnavailableError(
            `The key management service at ${this.base.host} cannot be reached (${error.code ?? error.name})`,
          ),
        )
      const request = send(new URL(path, this.base), {
        method,
        agent: this.agent,
        headers: {
          ...headers,
          ...(text === undefined
            ? {}
            : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }),
        },
        signal: AbortSignal.timeout(this.options.timeoutMs),
      })
      request.on('error', away)
      request.on('response', (response) => {
        const chunks: Buffer[] = []
        let size = 0
        response.on('error', away)
        response.on('data', (chunk: Buffer) => {
          size += chunk.length
          if (size > LIMIT) response.destroy(new Error('too long'))
          else chunks.push(chunk)
        })
        response.on('end', () =>
          resolve({ status: response.statusCode ?? 0, body: parse(Buffer.concat(chunks).toString('utf8')) }),
        )
      })
      request.end(text)
    })
  }

  close(): void {
    this.agent.destroy()
  }
}
