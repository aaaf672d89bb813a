import { createHash, randomBytes, randomInt } from 'node:crypto'
import { crc32 } from 'node:zlib'

/** A key of an application that cannot do OAuth: `vk_<id>_<32 random bytes, base64url><crc>`. */
export interface ApiKey {
  id: string
  text: string
}

const ALPHABET = 'abcdefghijklmnopqrstuvwxyz0123456789'
const FORMAT = /^(vk_([a-z0-9]{12})_[A-Za-z0-9_-]{43})([0-9a-f]{8})$/

const checksum = (text: string): string => crc32(text).toString(16).padStart(8, '0')

/** A new key. It is shown once; what is kept is its id and its hash. */
export function newApiKey(): ApiKey {
  const id = Array.from({ length: 12 }, () => ALPHABET[randomInt(ALPHABET.length)]).join('')
  const body = `vk_${id}_${randomBytes(32).toString('base64url')}`
  return { id, text: `${body}${checksum(body)}` }
}

/** The id of a key, or undefined where it was mistyped, cut or made up: nobody is asked about such a key. */
export function apiKeyId(text: string): string | undefined {
  const match = FORMAT.exec(text)
  return match && checksum(match[1]!) === match[3] ? match[2] : undefined
}

/** 256 random bits need no slow hash. */
export const apiKeyHash = (text: string): Buffer => createHash('sha256').update(text).digest()
