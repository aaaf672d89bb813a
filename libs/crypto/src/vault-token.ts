import { readFileSync } from 'node:fs'
import { z } from 'zod'
import type { JsonClient } from './https-json.js'
import { KeyServiceUnavailableError } from './provider.js'

/** How we log in: a token that something else keeps fresh in a file, a fixed token, or AppRole. */
export type VaultLogin =
  | { kind: 'token-file'; path: string }
  | { kind: 'token'; token: string }
  | { kind: 'approle'; mount: string; roleId: string; secretIdFile: string }

const Login = z.object({ auth: z.object({ client_token: z.string(), lease_duration: z.number() }) })
type Answer = Awaited<ReturnType<JsonClient['send']>>

const readSecret = (path: string): string => readFileSync(path, 'utf8').trim()

/** The token that goes with every request; got again when it is refused or half of its life is over. */
export class VaultToken {
  private held: { token: string; until: number } | undefined
  private login: Promise<string> | undefined

  constructor(
    private readonly client: JsonClient,
    private readonly source: VaultLogin,
    private readonly namespace?: string,
  ) {}

  /** Sends with the token; once more with a new one where the old is refused (403). */
  async use(send: (headers: Record<string, string>) => Promise<Answer>): Promise<Answer> {
    const answer = await send(this.headers(await this.current()))
    if (answer.status !== 403 || this.source.kind === 'token') return answer
    this.held = undefined
    return send(this.headers(await this.current()))
  }

  private headers(token?: string): Record<string, string> {
    return {
      'x-vault-request': 'true',
      ...(token ? { 'x-vault-token': token } : {}),
      ...(this.namespace ? { 'x-vault-namespace': this.namespace } : {}),
    }
  }

  private async current(): Promise<string> {
    if (this.source.kind === 'token') return this.source.token
    if (this.source.kind === 'token-file') return readSecret(this.source.path)
    if (this.held && this.held.until > Date.now()) return this.held.token
    // Requests that come together log in once.
    this.login ??= this.approle(this.source).finally(() => {
      this.login = undefined
    })
    return this.login
  }

  private async approle(source: Extract<VaultLogin, { kind: 'approle' }>): Promise<string> {
    const { status, body } = await this.client.send(
      'POST',
      `/v1/auth/${source.mount}/login`,
      this.headers(),
      { role_id: source.roleId, secret_id: readSecret(source.secretIdFile) },
    )
    const answer = Login.safeParse(body)
    if (status !== 200 || !answer.success)
      throw new KeyServiceUnavailableError(`Vault refused the AppRole login (${status})`)
    const { client_token: token, lease_duration: seconds } = answer.data.auth
    // A lease of 0 does not end.
    this.held = { token, until: seconds > 0 ? Date.now() + seconds * 500 : Number.POSITIVE_INFINITY }
    return token
  }
}
