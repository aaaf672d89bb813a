import { VerificationFailure } from '#libs/audit'
import { unreachable } from '../client/unreachable.js'

/** A live log, read over HTTP. */
export class LogSource {
  constructor(
    private readonly url: string,
    /** Access token with the scope audit:read; without one the entries themselves cannot be read. */
    private readonly token: string | undefined,
  ) {}

  get readsEntries(): boolean {
    return this.token !== undefined
  }

  async text(path: string): Promise<string> {
    return (await this.bytes(path)).toString('utf8')
  }

  async bytes(path: string): Promise<Buffer> {
    const found = await this.find(path)
    if (!found) throw new VerificationFailure('unreadable', `${path} answered 404`)
    return found
  }

  /** Undefined where there is no such resource. */
  async find(path: string): Promise<Buffer | undefined> {
    const response = await this.fetch(path)
    if (response.status === 404) return undefined
    if (!response.ok) throw new VerificationFailure('unreadable', `${path} answered ${response.status}`)
    return Buffer.from(await response.arrayBuffer())
  }

  private async fetch(path: string): Promise<Response> {
    const headers: Record<string, string> = this.token ? { authorization: `Bearer ${this.token}` } : {}
    try {
      return await fetch(`${this.url}${path}`, { headers, signal: AbortSignal.timeout(30_000) })
    } catch (error) {
      throw new VerificationFailure('unreadable', unreachable(this.url, error))
    }
  }
}
