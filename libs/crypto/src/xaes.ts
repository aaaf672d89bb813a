import { createCipheriv, createDecipheriv } from 'node:crypto'

/** Length of an XAES-256-GCM nonce in bytes: long enough to be random for 2^80 messages. */
export const XAES_NONCE_LENGTH = 24
const TAG_LENGTH = 16
const BLOCK = 16

/** Thrown when a ciphertext is not authentic: altered, cut, under another key or in another place. */
export class NotAuthenticError extends Error {
  override readonly name = 'NotAuthenticError'
  constructor() {
    super('The ciphertext is not authentic')
  }
}

function encryptBlock(key: Uint8Array, block: Uint8Array): Buffer {
  const cipher = createCipheriv('aes-256-ecb', key, null).setAutoPadding(false)
  return Buffer.concat([cipher.update(block), cipher.final()])
}

/** The CMAC subkey K1 (NIST SP 800-38B 6.1). */
function subkey(key: Uint8Array): Buffer {
  const l = encryptBlock(key, Buffer.alloc(BLOCK))
  const k1 = Buffer.alloc(BLOCK)
  for (let at = 0; at < BLOCK; at++) k1[at] = ((l[at]! << 1) | ((l[at + 1] ?? 0) >> 7)) & 0xff
  if (l[0]! & 0x80) k1[BLOCK - 1]! ^= 0x87
  return k1
}

/** The derived key: two CMAC blocks over a counter, "X" and the first half of the nonce (C2SP XAES-256-GCM). */
function derive(key: Uint8Array, nonce: Uint8Array): Buffer {
  const k1 = subkey(key)
  const halves = [1, 2].map((counter) => {
    const block = Buffer.from([0, counter, 0x58, 0, ...nonce.subarray(0, 12)])
    return encryptBlock(key, block.map((byte, at) => byte ^ k1[at]!) as Uint8Array)
  })
  return Buffer.concat(halves)
}

/** Encrypts with XAES-256-GCM (c2sp.org/XAES-256-GCM): 32-byte key, 24-byte nonce; returns ciphertext || tag. */
export function xaesSeal(key: Uint8Array, nonce: Uint8Array, plaintext: Uint8Array, aad: Uint8Array): Buffer {
  const cipher = createCipheriv('aes-256-gcm', derive(key, nonce), nonce.subarray(12), {
    authTagLength: TAG_LENGTH,
  })
  cipher.setAAD(aad)
  return Buffer.concat([cipher.update(plaintext), cipher.final(), cipher.getAuthTag()])
}

/** Opens what xaesSeal made; throws NotAuthenticError for anything else. */
export function xaesOpen(key: Uint8Array, nonce: Uint8Array, sealed: Uint8Array, aad: Uint8Array): Buffer {
  const end = sealed.length - TAG_LENGTH
  if (nonce.length !== XAES_NONCE_LENGTH || end < 0) throw new NotAuthenticError()
  // Node accepts a 4-byte tag unless the length is demanded.
  const decipher = createDecipheriv('aes-256-gcm', derive(key, nonce), nonce.subarray(12), {
    authTagLength: TAG_LENGTH,
  })
  decipher.setAAD(aad)
  decipher.setAuthTag(sealed.subarray(end))
  try {
    return Buffer.concat([decipher.update(sealed.subarray(0, end)), decipher.final()])
  } catch {
    throw new NotAuthenticError()
  }
}
