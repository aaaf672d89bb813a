import { createPublicKey, type KeyObject } from 'node:crypto'
import { z } from 'zod'
import { JsonClient } from './https-json.js'
import {
  type GeneratedKey,
  KeyServiceUnavailableError,
  type RotatingKeyProvider,
  WRAPPED_BY,
} from './provider.js'
import { type VaultLogin, VaultToken } from './vault-token.js'
import { NotAuthenticError } from './xaes.js'

export interface VaultOptions {
  address: string
  namespace?: string
  login: VaultLogin
  /** Mount path of the Transit engine. */
  mount: string
  /** Transit key of type aes256-gcm96 with `derived=true`: a derived key for each context. */
  key: string
  /** Transit key of type ecdsa-p256. */
  signingKey: string
  ca?: string
  timeoutMs?: number
}

const DataKey = z.object({ data: z.object({ plaintext: z.base64(), ciphertext: z.string() }) })
const Ciphertext = z.object({ data: z.object({ ciphertext: z.string() }) })
const Plaintext = z.object({ data: z.object({ plaintext: z.base64() }) })
const Signature = z.object({ data: z.object({ signature: z.string() }) })
const KeyInfo = z.object({
  data: z.object({
    latest_version: z.int().min(1),
    derived: z.boolean(),
    keys: z.record(z.string(), z.union([z.number(), z.object({ public_key: z.string() })])),
  }),
})

const base64 = (bytes: Uint8Array | string): string => Buffer.from(bytes).toString('base64')
/** What the Transit engine says of a ciphertext that is not its own, or under another context. */
const NOT_AUTHENTIC = /message authentication failed|invalid ciphertext|could not decode|ciphertext/i

/** HashiCorp Vault or OpenBao: the Transit secrets engine over its HTTP API. The keys never leave it. */
export class VaultTransit implements RotatingKeyProvider {
  private readonly client: JsonClient
  private readonly token: VaultToken

  constructor(private readonly options: VaultOptions) {
    const { address, ca, timeoutMs = 5_000 } = options
    this.client = new JsonClient(address, { timeoutMs, ...(ca ? { ca } : {}) })
    this.token = new VaultToken(this.client, options.login, options.namespace)
  }

  async generateDataKey(context: string): Promise<GeneratedKey> {
    const body = { context: base64(context), bits: 256 }
    const { data } = await this.call('POST', `datakey/plaintext/${this.options.key}`, DataKey, body)
    return { plaintext: Buffer.from(data.plaintext, 'base64'), wrapped: pack(data.ciphertext) }
  }

  async wrap(key: Uint8Array, context: string): Promise<Buffer> {
    const body = { context: base64(context), plaintext: base64(key) }
    return pack((await this.call('POST', `encrypt/${this.options.key}`, Ciphertext, body)).data.ciphertext)
  }

  async unwrap(wrapped: Uint8Array, context: string): Promise<Buffer> {
    const body = { context: base64(context), ciphertext: unpack(wrapped) }
    const { data } = await this.call('POST', `decrypt/${this.options.key}`, Plaintext, body)
    return Buffer.from(data.plaintext, 'base64')
  }

  async rewrap(wrapped: Uint8Array, context: string): Promise<Buffer> {
    const body = { context: base64(context), ciphertext: unpack(wrapped) }
    return pack((await this.call('POST', `rewrap/${this.options.key}`, Ciphertext, body)).data.ciphertext)
  }

  async currentVersion(): Promise<string> {
    const { data } = await this.call('GET', `keys/${this.options.key}`, KeyInfo)
    if (!data.derived)
      throw new Error(
        `The Transit key ${this.options.key} was not made with derived=true: it binds no context`,
      )
    return this.label(data.latest_version)
  }

  versionOf(wrapped: Uint8Array): string | undefined {
    if (wrapped[0] !== WRAPPED_BY.vault) return undefined
    const version = /^vault:v(\d+):/.exec(unpack(wrapped))?.[1]
    return version === undefined ? undefined : this.label(Number(version))
  }

  private readonly label = (version: number): string => `vault ${this.options.key} ${version}`

  async rotate(): Promise<string> {
    await this.call('POST', `keys/${this.options.key}/rotate`, z.unknown(), {})
    return this.currentVersion()
  }

  async sign(message: Uint8Array): Promise<Buffer> {
    const path = `sign/${this.options.signingKey}/sha2-256`
    const { data } = await this.call('POST', path, Signature, { input: base64(message) })
    return Buffer.from(data.signature.split(':')[2] ?? '', 'base64')
  }

  async verificationKey(): Promise<KeyObject> {
    const { data } = await this.call('GET', `keys/${this.options.signingKey}`, KeyInfo)
    const newest = data.keys[String(data.latest_version)]
    if (typeof newest !== 'object') throw new Error(`${this.options.signingKey} is no signing key`)
    return createPublicKey(newest.public_key)
  }

  /** Ends the kept-alive connections. */
  close(): void {
    this.client.close()
  }

  private async call<T extends z.ZodType>(
    method: string,
    path: string,
    shape: T,
    body?: object,
  ): Promise<z.infer<T>> {
    const answer = await this.token.use((headers) =>
      this.client.send(method, `/v1/${this.options.mount}/${path}`, headers, body),
    )
    if (answer.status === 200 || answer.status === 204) return shape.parse(answer.body)
    throw refusal(answer.status, answer.body)
  }
}

/** Status 4xx of Vault with its reasons: not authentic, or a set-up that does not let us (never what we sent). */
function refusal(status: number, body: unknown): Error {
  const reasons = z.object({ errors: z.array(z.string()) }).safeParse(body).data?.errors ?? []
  if (status === 400 && reasons.some((reason) => NOT_AUTHENTIC.test(reason))) return new NotAuthenticError()
  return new KeyServiceUnavailableError(
    `Vault answered ${status}${status < 500 ? `: ${reasons.join('; ').slice(0, 200)}` : ''}`,
  )
}

const pack = (ciphertext: string): Buffer =>
  Buffer.concat([Uint8Array.of(WRAPPED_BY.vault), Buffer.from(ciphertext, 'ascii')])

function unpack(wrapped: Uint8Array): string {
  if (wrapped[0] !== WRAPPED_BY.vault) throw new NotAuthenticError()
  return Buffer.from(wrapped.subarray(1)).toString('ascii')
}
