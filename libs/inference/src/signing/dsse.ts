import { type KeyObject, verify } from 'node:crypto'
import { z } from 'zod'

/** Payload type of an in-toto statement in a DSSE envelope. */
export const IN_TOTO = 'application/vnd.in-toto+json'

const base64 = z
  .base64()
  .min(1)
  .transform((text) => Buffer.from(text, 'base64'))

/** DSSE envelope (secure-systems-lab/dsse, envelope.md) as OMS profiles it. */
export const Envelope = z.strictObject({
  payload: base64,
  payloadType: z.literal(IN_TOTO),
  signatures: z.array(z.strictObject({ sig: base64, keyid: z.string().nullish() })).min(1),
})
export type Envelope = z.infer<typeof Envelope>

/** What is signed: the pre-authentication encoding (DSSE protocol.md). */
export function preAuthEncoding(payloadType: string, payload: Uint8Array): Buffer {
  const type = Buffer.from(payloadType, 'utf8')
  return Buffer.concat([
    Buffer.from(`DSSEv1 ${type.length} ${payloadType} ${payload.length} `, 'utf8'),
    payload,
  ])
}

/** Hash that goes with the curve of a key (Sigstore's algorithm registry); undefined for a key that is not used. */
export function hashFor(key: KeyObject): 'sha256' | 'sha384' | 'sha512' | undefined {
  const { namedCurve } = key.asymmetricKeyDetails ?? {}
  if (namedCurve === 'prime256v1') return 'sha256'
  if (namedCurve === 'secp384r1') return 'sha384'
  return namedCurve === 'secp521r1' ? 'sha512' : undefined
}

/** Whether one of the envelope's signatures is by this key. */
export function isSignedWith({ payload, payloadType, signatures }: Envelope, key: KeyObject): boolean {
  const hash = hashFor(key)
  const message = preAuthEncoding(payloadType, payload)
  return hash !== undefined && signatures.some(({ sig }) => verify(hash, message, key, sig))
}
