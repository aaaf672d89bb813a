import { createCipheriv, createDecipheriv, randomBytes, timingSafeEqual } from 'node:crypto'
import { hkdfExpand } from './hkdf.js'
import { NotAuthenticError } from './xaes.js'

/** Parameters of FLOE (c2sp.org/FLOE): AES-256-GCM, SHA-384, segments of this many bytes of ciphertext. */
export interface FloeParameters {
  segmentLength: number
  /** A new AES key every 2^rotationBits segments; 20 in FLOE for GCM. */
  rotationBits: number
}

/** 64 KiB segments: a range read of a frame decrypts little besides it. */
export const FLOE_64K: FloeParameters = { segmentLength: 65_536, rotationBits: 20 }

const IV_LENGTH = 32
const HEADER_TAG_LENGTH = 32
const PARAMETERS_LENGTH = 10
/** Bytes before the first segment. */
export const FLOE_HEADER_LENGTH = PARAMETERS_LENGTH + IV_LENGTH + HEADER_TAG_LENGTH
const NONCE_LENGTH = 12
const TAG_LENGTH = 16
/** Bytes of a segment that are not plaintext. */
export const FLOE_OVERHEAD = 4 + NONCE_LENGTH + TAG_LENGTH
const NOT_FINAL = 0xffff_ffff

/** Plaintext bytes in a segment that is not the last. */
export const floePlaintextLength = ({ segmentLength }: FloeParameters): number =>
  segmentLength - FLOE_OVERHEAD

function encodeParameters({ segmentLength }: FloeParameters): Buffer {
  const bytes = Buffer.alloc(PARAMETERS_LENGTH)
  bytes.writeUInt32BE(segmentLength, 2)
  bytes.writeUInt32BE(IV_LENGTH, 6)
  return bytes
}

/** What one file's segments are sealed and opened with. */
export class FloeKey {
  private readonly prefix: Buffer
  private readonly messageKey: Buffer
  private segmentKey: { epoch: number; key: Buffer } = { epoch: -1, key: Buffer.alloc(0) }

  constructor(
    key: Uint8Array,
    readonly parameters: FloeParameters,
    iv: Uint8Array,
    private readonly aad: Uint8Array,
  ) {
    this.prefix = Buffer.concat([encodeParameters(parameters), iv])
    this.messageKey = this.derive(key, Buffer.from('MESSAGE_KEY:'), 48)
    this.header = Buffer.concat([
      this.prefix,
      this.derive(key, Buffer.from('HEADER_TAG:'), HEADER_TAG_LENGTH),
    ])
  }

  /** Parameters || IV || header tag: the tag commits to key and additional data. */
  readonly header: Buffer

  private derive(key: Uint8Array, purpose: Uint8Array, length: number): Buffer {
    return hkdfExpand('sha384', key, Buffer.concat([this.prefix, purpose, this.aad]), length)
  }

  private keyFor(segment: number): Buffer {
    const span = 2 ** this.parameters.rotationBits
    const epoch = Math.floor(segment / span)
    if (this.segmentKey.epoch !== epoch) {
      const key = this.derive(this.messageKey, Buffer.concat([Buffer.from('DEK:'), uint64(epoch * span)]), 32)
      this.segmentKey = { epoch, key }
    }
    return this.segmentKey.key
  }

  /** Seals one segment of plaintext; only the last may be shorter than the others. */
  sealSegment(segment: number, plaintext: Uint8Array, final: boolean): Buffer {
    const nonce = randomBytes(NONCE_LENGTH)
    const cipher = createCipheriv('aes-256-gcm', this.keyFor(segment), nonce, { authTagLength: TAG_LENGTH })
    cipher.setAAD(segmentData(segment, final))
    const sealed = Buffer.allocUnsafe(plaintext.length + FLOE_OVERHEAD)
    sealed.writeUInt32BE(final ? sealed.length : NOT_FINAL)
    sealed.set(nonce, 4)
    sealed.set(cipher.update(plaintext), 4 + NONCE_LENGTH)
    cipher.final()
    sealed.set(cipher.getAuthTag(), sealed.length - TAG_LENGTH)
    return sealed
  }

  /** Opens one segment; returns nothing before its tag is checked. Throws NotAuthenticError. */
  openSegment(segment: number, sealed: Uint8Array, final: boolean): Buffer {
    if (sealed.length < FLOE_OVERHEAD) throw new NotAuthenticError()
    const view = Buffer.from(sealed.buffer, sealed.byteOffset, sealed.length)
    if (view.readUInt32BE(0) !== (final ? view.length : NOT_FINAL)) throw new NotAuthenticError()
    const nonce = view.subarray(4, 4 + NONCE_LENGTH)
    const decipher = createDecipheriv('aes-256-gcm', this.keyFor(segment), nonce, {
      authTagLength: TAG_LENGTH,
    })
    decipher.setAAD(segmentData(segment, final))
    decipher.setAuthTag(view.subarray(view.length - TAG_LENGTH))
    try {
      const opened = decipher.update(view.subarray(4 + NONCE_LENGTH, view.length - TAG_LENGTH))
      decipher.final()
      return opened
    } catch {
      throw new NotAuthenticError()
    }
  }
}

function uint64(value: number): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64BE(BigInt(value))
  return bytes
}

const segmentData = (segment: number, final: boolean): Buffer =>
  Buffer.concat([uint64(segment), Uint8Array.of(final ? 1 : 0)])

/** Starts a new file under a 32-byte key; `aad` says what the file is and must be given again to open it. */
export const startFloe = (key: Uint8Array, aad: Uint8Array, parameters: FloeParameters = FLOE_64K): FloeKey =>
  new FloeKey(key, parameters, randomBytes(IV_LENGTH), aad)

/** Opens a file's header; throws NotAuthenticError where key, additional data or parameters differ. */
export function openFloe(
  key: Uint8Array,
  aad: Uint8Array,
  header: Uint8Array,
  parameters = FLOE_64K,
): FloeKey {
  if (header.length !== FLOE_HEADER_LENGTH) throw new NotAuthenticError()
  const floe = new FloeKey(
    key,
    parameters,
    header.subarray(PARAMETERS_LENGTH, PARAMETERS_LENGTH + IV_LENGTH),
    aad,
  )
  if (!timingSafeEqual(floe.header, header)) throw new NotAuthenticError()
  return floe
}
