import {
  constants,
  createCipheriv,
  createDecipheriv,
  createPrivateKey,
  type KeyLike,
  privateDecrypt,
  publicEncrypt,
  X509Certificate,
} from 'node:crypto'
import {
  CMSVersion,
  ContentEncryptionAlgorithmIdentifier,
  ContentInfo,
  EncryptedContent,
  EncryptedContentInfo,
  EnvelopedData,
  IssuerAndSerialNumber,
  id_data,
  id_envelopedData,
  KeyEncryptionAlgorithmIdentifier,
  KeyTransRecipientInfo,
  RecipientIdentifier,
  RecipientInfo,
  RecipientInfos,
} from '@peculiar/asn1-cms'
import { AsnConvert, OctetString } from '@peculiar/asn1-schema'
import { Certificate } from '@peculiar/asn1-x509'
import type { Escrow } from './order.js'

const RSA = '1.2.840.113549.1.1.1'
const AES_256_CBC = '2.16.840.1.101.3.4.1.42'
const KEY_LENGTH = 32
const IV_LENGTH = 16
/** DER of NULL, the parameters of rsaEncryption (RFC 3370 4.2.1). */
const NULL = Uint8Array.of(5, 0).buffer
const LEAST_RSA_BITS = 2048

/** The certificate of whoever may see the originals; throws where it cannot be used. */
export function readCertificate(pem: string): X509Certificate {
  const certificate = new X509Certificate(pem)
  const { asymmetricKeyType, asymmetricKeyDetails } = certificate.publicKey
  if (asymmetricKeyType !== 'rsa' || (asymmetricKeyDetails?.modulusLength ?? 0) < LEAST_RSA_BITS)
    throw new Error(`The certificate must have an RSA key of ${LEAST_RSA_BITS} bits or more`)
  return certificate
}

function recipient(certificate: X509Certificate, contentKey: Buffer): RecipientInfo {
  const { tbsCertificate } = AsnConvert.parse(certificate.raw, Certificate)
  const { issuer, serialNumber } = tbsCertificate
  // PKCS #1 v1.5 is what PS3.15 E.1.1's readers open; nobody answers here whom padding errors could teach.
  const key = { key: certificate.publicKey, padding: constants.RSA_PKCS1_PADDING }
  return new RecipientInfo({
    ktri: new KeyTransRecipientInfo({
      version: CMSVersion.v0,
      rid: new RecipientIdentifier({
        issuerAndSerialNumber: new IssuerAndSerialNumber({ issuer, serialNumber }),
      }),
      keyEncryptionAlgorithm: new KeyEncryptionAlgorithmIdentifier({ algorithm: RSA, parameters: NULL }),
      encryptedKey: new OctetString(publicEncrypt(key, contentKey)),
    }),
  })
}

const bufferOf = (bytes: Uint8Array): ArrayBuffer => new Uint8Array(bytes).buffer

/** Encrypts content for a certificate: CMS EnvelopedData, AES-256-CBC, RSA key transport (RFC 5652 6). DER. */
export function seal(content: Uint8Array, { certificate, random }: Escrow): Buffer {
  const [key, iv] = [random(KEY_LENGTH), random(IV_LENGTH)]
  const cipher = createCipheriv('aes-256-cbc', key, iv)
  const encrypted = Buffer.concat([cipher.update(content), cipher.final()])
  const enveloped = new EnvelopedData({
    version: CMSVersion.v0,
    recipientInfos: new RecipientInfos([recipient(readCertificate(certificate), key)]),
    encryptedContentInfo: new EncryptedContentInfo({
      contentType: id_data,
      contentEncryptionAlgorithm: new ContentEncryptionAlgorithmIdentifier({
        algorithm: AES_256_CBC,
        parameters: AsnConvert.serialize(new OctetString(iv)),
      }),
      encryptedContent: new EncryptedContent({ value: new OctetString(encrypted) }),
    }),
  })
  const info = new ContentInfo({ contentType: id_envelopedData, content: AsnConvert.serialize(enveloped) })
  return Buffer.from(AsnConvert.serialize(info))
}

/** The envelope is not one of ours, or for another key. */
export class EnvelopeError extends Error {
  override readonly name = 'EnvelopeError'
}

/** Opens what `seal` made, or what openssl and GDCM make of that kind. Throws EnvelopeError. */
export function open(envelope: Uint8Array, privateKey: KeyLike): Buffer {
  try {
    const info = AsnConvert.parse(bufferOf(envelope), ContentInfo)
    const { recipientInfos, encryptedContentInfo } = AsnConvert.parse(info.content, EnvelopedData)
    const transport = recipientInfos.find(({ ktri }) => ktri)?.ktri
    const algorithm = encryptedContentInfo.contentEncryptionAlgorithm
    const content = encryptedContentInfo.encryptedContent
    const pieces = content?.value ? [content.value] : (content?.constructedValue ?? [])
    const encrypted = Buffer.concat(pieces.map((piece) => Buffer.from(piece.buffer)))
    if (!transport || algorithm.algorithm !== AES_256_CBC || !algorithm.parameters) throw new EnvelopeError()
    const padding = constants.RSA_PKCS1_PADDING
    const key = privateDecrypt(
      { key: createPrivateKey(privateKey as string), padding },
      Buffer.from(transport.encryptedKey.buffer),
    )
    const iv = AsnConvert.parse(algorithm.parameters, OctetString)
    const decipher = createDecipheriv('aes-256-cbc', key, Buffer.from(iv.buffer))
    return Buffer.concat([decipher.update(encrypted), decipher.final()])
  } catch {
    throw new EnvelopeError('The originals cannot be opened with this key')
  }
}
