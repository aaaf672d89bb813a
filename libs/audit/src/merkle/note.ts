import { createHash, createPrivateKey, createPublicKey, type KeyObject, sign, verify } from 'node:crypto'

const ED25519 = 1
const COSIGNATURE = 4

/** A key that signs notes (C2SP signed-note). */
export interface NoteSigner {
  name: string
  privateKey: KeyObject
  publicKey: Buffer
}

/** A key that verifies them. */
export interface NoteVerifier {
  name: string
  keyId: Buffer
  type: number
  publicKey: Buffer
}

/** A note: signed text, and what follows the blank line. */
export interface Note {
  text: string
  signatures: { name: string; keyId: Buffer; signature: Buffer }[]
}

const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex')
const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex')

/** First four bytes of SHA-256(name || 0x0A || type || public key). */
function keyIdOf(name: string, type: number, publicKey: Buffer): Buffer {
  return createHash('sha256')
    .update(`${name}\n`)
    .update(Uint8Array.of(type))
    .update(publicKey)
    .digest()
    .subarray(0, 4)
}

/** Signer from the 32-byte Ed25519 seed. */
export function noteSigner(name: string, seed: Uint8Array): NoteSigner {
  const privateKey = createPrivateKey({
    key: Buffer.concat([PKCS8_PREFIX, seed]),
    format: 'der',
    type: 'pkcs8',
  })
  const publicKey = createPublicKey(privateKey)
    .export({ format: 'der', type: 'spki' })
    .subarray(SPKI_PREFIX.length)
  return { name, privateKey, publicKey }
}

/** Verification key as text: name+hex(key id)+base64(type || public key). */
export function verificationKey({ name, publicKey }: NoteSigner): string {
  const typed = Buffer.concat([Uint8Array.of(ED25519), publicKey])
  return `${name}+${keyIdOf(name, ED25519, publicKey).toString('hex')}+${typed.toString('base64')}`
}

/** Reads a verification key; throws where it is malformed or its id does not belong to it. */
export function parseVerificationKey(text: string): NoteVerifier {
  const match = /^([^\s+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]+={0,2})$/.exec(text)
  const typed = Buffer.from(match?.[3] ?? '', 'base64')
  const [name, type, publicKey] = [match?.[1] ?? '', typed[0] ?? 0, typed.subarray(1)]
  const keyId = keyIdOf(name, type, publicKey)
  const known = (type === ED25519 || type === COSIGNATURE) && publicKey.length === 32
  if (!match || !known || keyId.toString('hex') !== match[2]) throw new Error('Malformed verification key')
  return { name, keyId, type, publicKey }
}

/** Signs a text that ends in a newline; returns text, blank line and signature line. */
export function signNote({ name, privateKey, publicKey }: NoteSigner, text: string): string {
  const signature = sign(null, Buffer.from(text, 'utf8'), privateKey)
  const blob = Buffer.concat([keyIdOf(name, ED25519, publicKey), signature])
  return `${text}\n\u2014 ${name} ${blob.toString('base64')}\n`
}

/** Splits a note; throws where it is malformed. */
export function parseNote(note: string): Note {
  const end = note.lastIndexOf('\n\n')
  if (end < 0 || !note.endsWith('\n') || note.length > 1_000_000) throw new Error('Malformed note')
  const lines = note.slice(end + 2, -1).split('\n')
  const signatures = lines.map((line) => {
    const match = /^\u2014 ([^\s+]+) ([A-Za-z0-9+/]+={0,2})$/.exec(line)
    const blob = Buffer.from(match?.[2] ?? '', 'base64')
    if (!match || blob.length < 5) throw new Error('Malformed note signature')
    return { name: match[1]!, keyId: blob.subarray(0, 4), signature: blob.subarray(4) }
  })
  return { text: note.slice(0, end + 1), signatures }
}

/** The bytes that a signature of this type covers. */
function signedBytes(type: number, text: string, signature: Buffer): { message: Buffer; signature: Buffer } {
  if (type === ED25519) return { message: Buffer.from(text, 'utf8'), signature }
  const time = signature.readBigUInt64BE(0)
  return {
    message: Buffer.from(`cosignature/v1\ntime ${time}\n${text}`, 'utf8'),
    signature: signature.subarray(8),
  }
}

/** Whether the note carries a valid signature by this key; the name alone proves nothing. */
export function isSignedBy({ text, signatures }: Note, verifier: NoteVerifier): boolean {
  const key = createPublicKey({
    key: Buffer.concat([SPKI_PREFIX, verifier.publicKey]),
    format: 'der',
    type: 'spki',
  })
  const length = verifier.type === ED25519 ? 64 : 72
  return signatures
    .filter(({ name, keyId }) => name === verifier.name && keyId.equals(verifier.keyId))
    .filter(({ signature }) => signature.length === length)
    .some((line) => {
      const { message, signature } = signedBytes(verifier.type, text, line.signature)
      return verify(null, message, key, signature)
    })
}
