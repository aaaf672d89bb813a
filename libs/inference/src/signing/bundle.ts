import { createHash, type KeyObject } from 'node:crypto'
import { z } from 'zod'
import { Envelope, IN_TOTO, isSignedWith, preAuthEncoding } from './dsse.js'
import { type Manifest, manifestOf, Statement } from './statement.js'

const MEDIA_TYPE = 'application/vnd.dev.sigstore.bundle.v0.3+json'

const Certificate = z.looseObject({ rawBytes: z.base64().min(1) })
const other = {
  tlogEntries: z.array(z.unknown()).optional(),
  timestampVerificationData: z.unknown().optional(),
}

/** Sigstore bundle that holds an OMS statement (OpenSSF Model Signing v1.0, section 4), by any of its methods. */
export const Bundle = z.strictObject({
  mediaType: z.string().regex(/^application\/vnd\.dev\.sigstore\.bundle/),
  verificationMaterial: z.union([
    z.looseObject({ publicKey: z.looseObject({ hint: z.string().optional() }), ...other }),
    z.looseObject({
      x509CertificateChain: z.looseObject({ certificates: z.array(Certificate).min(1) }),
      ...other,
    }),
    z.looseObject({ certificate: Certificate, ...other, tlogEntries: z.array(z.unknown()).min(1) }),
  ]),
  dsseEnvelope: Envelope,
})
export type Bundle = z.infer<typeof Bundle>

/** SHA-256 of a public key in PEM: how a bundle hints at the key that made it. */
export const keyHint = (key: KeyObject): string =>
  createHash('sha256')
    .update(key.export({ type: 'spki', format: 'pem' }))
    .digest('hex')

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** Reads a bundle and its statement; undefined where either is not well-formed. Nothing is verified yet. */
export function parseBundle(text: string): { bundle: Bundle; statement: Statement } | undefined {
  const bundle = Bundle.safeParse(parseJson(text)).data
  const statement =
    bundle && Statement.safeParse(parseJson(bundle.dsseEnvelope.payload.toString('utf8'))).data
  return bundle && statement && { bundle, statement }
}

export type Verdict = { manifest: Manifest; statement: Statement; signer: string } | { refused: string }

/** Verifies a signature by one of the trusted keys, by name, and tells what it vouches for. Pure. */
export function verifyBundle(text: string, trusted: ReadonlyMap<string, KeyObject>): Verdict {
  const parsed = parseBundle(text)
  if (!parsed) return { refused: 'its signature is not an OpenSSF model signature (v1.0)' }
  const { bundle, statement } = parsed
  const { verificationMaterial: material, dsseEnvelope } = bundle
  if (!('publicKey' in material))
    return { refused: 'it is signed by a certificate; only keys are trusted here' }
  const { hint } = material.publicKey as { hint?: string }
  const candidates = [...trusted].filter(([, key]) => !hint || hint === keyHint(key))
  if (candidates.length === 0) return { refused: 'it is signed by a key that is not trusted here' }
  const signer = candidates.find(([, key]) => isSignedWith(dsseEnvelope, key))
  if (!signer) return { refused: 'its signature is not authentic' }
  const result = manifestOf(statement)
  return 'refused' in result ? result : { ...result, statement, signer: signer[0] }
}

/** Signs a statement with an ECDSA P-256 key (`sign` gives ASN.1 DER over SHA-256). */
export async function signStatement(
  statement: Statement,
  key: { sign(message: Uint8Array): Promise<Uint8Array>; verificationKey(): Promise<KeyObject> },
): Promise<string> {
  const payload = Buffer.from(JSON.stringify(statement), 'utf8')
  const signature = await key.sign(preAuthEncoding(IN_TOTO, payload))
  const bundle = {
    mediaType: MEDIA_TYPE,
    verificationMaterial: { publicKey: { hint: keyHint(await key.verificationKey()) }, tlogEntries: [] },
    dsseEnvelope: {
      payload: payload.toString('base64'),
      payloadType: IN_TOTO,
      signatures: [{ sig: Buffer.from(signature).toString('base64'), keyid: '' }],
    },
  }
  return `${JSON.stringify(bundle, null, 2)}\n`
}
