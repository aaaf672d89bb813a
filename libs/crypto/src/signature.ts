import { createECDH, createPrivateKey, createSign, type KeyObject } from 'node:crypto'
import { hkdfExpand } from './hkdf.js'

/** Order of the group of P-256 (FIPS 186-5, SP 800-186 3.2.1.3). */
const ORDER = 0xffffffff_00000000_ffffffff_ffffffff_bce6faad_a7179e84_f3b9cac2_fc632551n

const base64url = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64url')

/**
 * A P-256 key out of a 32-byte secret: 384 bits reduced to 1..n-1, which leaves no bias to speak of (FIPS 186-5
 * A.2.1). Pure.
 */
export function deriveSigningKey(secret: Uint8Array, purpose: string): KeyObject {
  const bits = hkdfExpand('sha256', secret, Buffer.from(purpose), 48)
  const d = (BigInt(`0x${bits.toString('hex')}`) % (ORDER - 1n)) + 1n
  const scalar = Buffer.from(d.toString(16).padStart(64, '0'), 'hex')
  const curve = createECDH('prime256v1')
  curve.setPrivateKey(scalar)
  const point = curve.getPublicKey()
  return createPrivateKey({
    format: 'jwk',
    key: {
      kty: 'EC',
      crv: 'P-256',
      d: base64url(scalar),
      x: base64url(point.subarray(1, 33)),
      y: base64url(point.subarray(33)),
    },
  })
}

/** ECDSA with SHA-256 as ASN.1 DER. */
export const signEcdsa = (key: KeyObject, message: Uint8Array): Buffer =>
  createSign('sha256').update(message).sign(key)
