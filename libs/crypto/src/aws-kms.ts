import { createPublicKey, type KeyObject } from 'node:crypto'
import type * as Kms from '@aws-sdk/client-kms'
import {
  type GeneratedKey,
  KeyServiceUnavailableError,
  type RotatingKeyProvider,
  WRAPPED_BY,
} from './provider.js'
import { NotAuthenticError } from './xaes.js'

export interface AwsKmsOptions {
  /** ARN or id of the symmetric key that wraps (not an alias: what it names must not change unseen). */
  keyId: string
  /** Keys that still unwrap after a change of `keyId`. */
  previousKeyIds?: readonly string[]
  /** Asymmetric key, ECC_NIST_P256, SIGN_VERIFY. */
  signingKeyId?: string
  region?: string
  endpoint?: string
  timeoutMs?: number
}

/** How long the number of rotations is believed; a key wrapped meanwhile is labelled too old, and wrapped again. */
const GENERATION_TTL_MS = 60_000
const POLL_MS = 1_000
/** On-demand rotation is asynchronous. */
const ROTATION_PATIENCE_MS = 600_000
const HEADER_LENGTH = 6

/**
 * AWS KMS. The context is the encryption context (it appears in CloudTrail; ours holds ids and keyed hashes only).
 * A ciphertext of KMS does not tell which key material it is under: the key and the number of its rotations stand
 * before it.
 */
export class AwsKms implements RotatingKeyProvider {
  private generation: { count: number; until: number } | undefined

  private constructor(
    private readonly sdk: typeof Kms,
    private readonly client: Kms.KMSClient,
    private readonly options: AwsKmsOptions,
  ) {}

  /** Loads the AWS SDK, which nobody else needs; credentials come from its default chain. */
  static async open(options: AwsKmsOptions): Promise<AwsKms> {
    const sdk = await import('@aws-sdk/client-kms')
    const { region, endpoint, timeoutMs = 5_000 } = options
    const client = new sdk.KMSClient({
      ...(region ? { region } : {}),
      ...(endpoint ? { endpoint } : {}),
      maxAttempts: 2,
      requestHandler: {
        connectionTimeout: timeoutMs,
        requestTimeout: timeoutMs,
        // Else the SDK only warns of it and waits on.
        throwOnRequestTimeout: true,
      },
    })
    return new AwsKms(sdk, client, options)
  }

  async generateDataKey(context: string): Promise<GeneratedKey> {
    const { keyId: KeyId } = this.options
    const generation = await this.rotations()
    const input = { KeyId, KeySpec: 'AES_256' as const, EncryptionContext: { context } }
    const { Plaintext, CiphertextBlob } = await this.send(new this.sdk.GenerateDataKeyCommand(input))
    return { plaintext: Buffer.from(Plaintext!), wrapped: pack(generation, KeyId, CiphertextBlob!) }
  }

  async wrap(key: Uint8Array, context: string): Promise<Buffer> {
    const { keyId: KeyId } = this.options
    const generation = await this.rotations()
    const input = { KeyId, Plaintext: key, EncryptionContext: { context } }
    return pack(generation, KeyId, (await this.send(new this.sdk.EncryptCommand(input))).CiphertextBlob!)
  }

  async unwrap(wrapped: Uint8Array, context: string): Promise<Buffer> {
    const { keyId, ciphertext } = this.known(wrapped)
    const input = { KeyId: keyId, CiphertextBlob: ciphertext, EncryptionContext: { context } }
    return Buffer.from((await this.send(new this.sdk.DecryptCommand(input))).Plaintext!)
  }

  async rewrap(wrapped: Uint8Array, context: string): Promise<Buffer> {
    const { keyId, ciphertext } = this.known(wrapped)
    const generation = await this.rotations()
    const input = {
      SourceKeyId: keyId,
      DestinationKeyId: this.options.keyId,
      CiphertextBlob: ciphertext,
      SourceEncryptionContext: { context },
      DestinationEncryptionContext: { context },
    }
    const { CiphertextBlob } = await this.send(new this.sdk.ReEncryptCommand(input))
    return pack(generation, this.options.keyId, CiphertextBlob!)
  }

  async currentVersion(): Promise<string> {
    return label(this.options.keyId, await this.rotations())
  }

  versionOf(wrapped: Uint8Array): string | undefined {
    if (wrapped[0] !== WRAPPED_BY.aws) return undefined
    const { keyId, generation } = unpack(wrapped)
    return label(keyId, generation)
  }

  async rotate(): Promise<string> {
    const before = await this.countRotations()
    await this.send(new this.sdk.RotateKeyOnDemandCommand({ KeyId: this.options.keyId }))
    const deadline = Date.now() + ROTATION_PATIENCE_MS
    while ((await this.countRotations()) === before) {
      if (Date.now() > deadline) throw new KeyServiceUnavailableError('KMS has not rotated the key in time')
      await new Promise((resolve) => setTimeout(resolve, POLL_MS))
    }
    return this.currentVersion()
  }

  async sign(message: Uint8Array): Promise<Buffer> {
    const input = {
      KeyId: this.signingKeyId(),
      Message: message,
      MessageType: 'RAW' as const,
      SigningAlgorithm: 'ECDSA_SHA_256' as const,
    }
    return Buffer.from((await this.send(new this.sdk.SignCommand(input))).Signature!)
  }

  async verificationKey(): Promise<KeyObject> {
    const { PublicKey } = await this.send(new this.sdk.GetPublicKeyCommand({ KeyId: this.signingKeyId() }))
    return createPublicKey({ key: Buffer.from(PublicKey!), format: 'der', type: 'spki' })
  }

  close(): void {
    this.client.destroy()
  }

  private signingKeyId(): string {
    if (!this.options.signingKeyId)
      throw new Error('AWS_KMS_SIGNING_KEY_ID is not set: nothing can be signed')
    return this.options.signingKeyId
  }

  /** A wrapped key that names a key we were not told of may be anybody's: KMS is not even asked. */
  private known(wrapped: Uint8Array): ReturnType<typeof unpack> {
    const parts = unpack(wrapped)
    const { keyId, previousKeyIds = [] } = this.options
    if (parts.keyId !== keyId && !previousKeyIds.includes(parts.keyId)) throw new NotAuthenticError()
    return parts
  }

  private async rotations(): Promise<number> {
    if (this.generation && this.generation.until > Date.now()) return this.generation.count
    return this.countRotations()
  }

  private async countRotations(): Promise<number> {
    let count = 0
    let marker: string | undefined
    do {
      const input = { KeyId: this.options.keyId, ...(marker ? { Marker: marker } : {}) }
      const page = await this.send(new this.sdk.ListKeyRotationsCommand(input))
      count += page.Rotations?.length ?? 0
      marker = page.Truncated ? page.NextMarker : undefined
    } while (marker)
    this.generation = { count, until: Date.now() + GENERATION_TTL_MS }
    return count
  }

  private async send<I extends Kms.ServiceInputTypes, O extends Kms.ServiceOutputTypes>(
    command: Parameters<typeof this.client.send<I, O>>[0],
  ): Promise<O> {
    try {
      return await this.client.send<I, O>(command)
    } catch (error) {
      throw this.translated(error)
    }
  }

  private translated(error: unknown): Error {
    const { InvalidCiphertextException, IncorrectKeyException } = this.sdk
    if (error instanceof InvalidCiphertextException || error instanceof IncorrectKeyException)
      return new NotAuthenticError()
    const name = error instanceof Error ? error.name : 'Error'
    return new KeyServiceUnavailableError(`AWS KMS cannot be used now (${name})`)
  }
}

const label = (keyId: string, generation: number): string => `aws ${keyId} ${generation}`

/** Provider || rotations (u32) || length of the key id (u8) || key id || ciphertext. */
function pack(generation: number, keyId: string, ciphertext: Uint8Array): Buffer {
  const header = Buffer.alloc(HEADER_LENGTH)
  header.writeUInt8(WRAPPED_BY.aws, 0)
  header.writeUInt32BE(generation, 1)
  header.writeUInt8(keyId.length, 5)
  return Buffer.concat([header, Buffer.from(keyId, 'ascii'), ciphertext])
}

function unpack(wrapped: Uint8Array) {
  const bytes = Buffer.from(wrapped)
  const end = HEADER_LENGTH + (bytes[5] ?? 0)
  if (bytes[0] !== WRAPPED_BY.aws || bytes.length <= end) throw new NotAuthenticError()
  const keyId = bytes.toString('ascii', HEADER_LENGTH, end)
  return { generation: bytes.readUInt32BE(1), keyId, ciphertext: bytes.subarray(end) }
}
