import { createHash, createPrivateKey, createPublicKey, type KeyObject, sign, verify } from 'node:crypto'
import { decodeBase64 } from './base64.js'

const ED25519 = 1
/** Ed25519 cosignature/v1, with a time (C2SP tlog-cosignature). */
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
const MAX_SIGNATURES = 100

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

function keyText({ name, publicKey }: NoteSigner, type: number): string {
  const typed = Buffer.concat([Uint8Array.of(type), publicKey])
  return `${name}+${keyIdOf(name, type, publicKey).toString('hex')}+${typed.toString('base64')}`
}

/** Verification key as text: name+hex(key id)+base64(type || public key). */
export const verificationKey = (signer: NoteSigner): string => keyText(signer, ED25519)

/** Verification key of a witness: the same with the type of cosignatures. */
export const cosignatureKey = (signer: NoteSigner): string => keyText(signer, COSIGNATURE)

/** Reads a verification key; throws where it is malformed or its id does not belong to it. */
export function parseVerificationKey(text: string): NoteVerifier {
  const match = /^([^\s+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]+={0,2})$/.exec(text)
  const typed = decodeBase64(match?.[3] ?? '') ?? Buffer.alloc(0)
  const [name, type, publicKey] = [match?.[1] ?? '', typed[0] ?? 0, typed.subarray(1)]
  const keyId = keyIdOf(name, type, publicKey)
  const known = (type === ED25519 || type === COSIGNATURE) && publicKey.length === 32
  if (!match || !known || keyId.toString('hex') !== match[2]) throw new Error('Malformed verification key')
  return { name, keyId, type, publicKey }
}

/** Whether the key is a witness's: what it signs has a time. */
export const isWitnessKey = ({ type }: NoteVerifier): boolean => type === COSIGNATURE

const signatureLine = (name: string, keyId: Buffer, signature: Buffer): string =>
  `\u2014 ${name} ${Buffer.concat([keyId, signature]).toString('base64')}\n`

/** Signs a text that ends in a newline; returns text, blank line and signature line. */
export function signNote({ name, privateKey, publicKey }: NoteSigner, text: string): string {
  const signature = sign(null, Buffer.from(text, 'utf8'), privateKey)
  return `${text}\n${signatureLine(name, keyIdOf(name, ED25519, publicKey), signature)}`
}

const cosignedBytes = (time: bigint, text: string): Buffer =>
  Buffer.from(`cosignature/v1\ntime ${time}\n${text}`, 'utf8')

/** Signature line of a witness over the text of a checkpoint; `time` in seconds since 1970. */
export function cosign({ name, privateKey, publicKey }: NoteSigner, text: string, time: bigint): string {
  const at = Buffer.alloc(8)
  at.writeBigUInt64BE(time)
  const signature = sign(null, cosignedBytes(time, text), privateKey)
  return signatureLine(name, keyIdOf(name, COSIGNATURE, publicKey), Buffer.concat([at, signature]))
}

/** Splits a note; throws where it is malformed. */
export function parseNote(note: string): Note {
  const end = note.lastIndexOf('\n\n')
  if (end < 0 || !note.endsWith('\n') || note.length > 1_000_000) throw new Error('Malformed note')
  const lines = note.slice(end + 2, -1).split('\n')
  if (lines.length > MAX_SIGNATURES) throw new Error('Too many signatures')
  const signatures = lines.map((line) => {
    const match = /^\u2014 ([^\s+]+) ([A-Za-z0-9+/]+={0,2})$/.exec(line)
    const blob = decodeBase64(match?.[2] ?? '')
    if (!match || !blob || blob.length < 5) throw new Error('Malformed note signature')
    return { name: match[1]!, keyId: blob.subarray(0, 4), signature: blob.subarray(4) }
  })
  return { text: note.slice(0, end + 1), signatures }
}

/** When a valid signature says it was made: seconds since 1970 for a witness's, 0 for one without a time. */
function signedAt(
  text: string,
  verifier: NoteVerifier,
  key: KeyObject,
  signature: Buffer,
): bigint | undefined {
  if (verifier.type === ED25519) {
    return signature.length === 64 && verify(null, Buffer.from(text, 'utf8'), key, signature) ? 0n : undefined
  }
  if (signature.length !== 72) return undefined
  const time = signature.readBigUInt64BE(0)
  return verify(null, cosignedBytes(time, text), key, signature.subarray(8)) ? time : undefined
}

/**
 * The time of the newest valid signature by this key (0 where signatures of its type have none), or undefined
 * where the note carries no valid one; the name alone proves nothing.
 */
export function signatureTime({ text, signatures }: Note, verifier: NoteVerifier): bigint | undefined {
  const key = createPublicKey({
    key: Buffer.concat([SPKI_PREFIX, verifier.publicKey]),
    format: 'der',
    type: 'spki',
  })
  return signatures
    .filter(({ name, keyId }) => name === verifier.name && keyId.equals(verifier.keyId))
    .map(({ signature }) => signedAt(text, verifier, key, signature))
    .filter((time) => time !== undefined)
    .reduce<bigint | undefined>(
      (newest, time) => (newest === undefined || time > newest ? time : newest),
      undefined,
    )
}

/** Whether the note carries a valid signature by this key. */
export const isSignedBy = (note: Note, verifier: NoteVerifier): boolean =>
  signatureTime(note, verifier) !== undefined
