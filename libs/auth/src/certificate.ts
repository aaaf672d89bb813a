import { createHash, timingSafeEqual } from 'node:crypto'
import { BlockList, isIP, type Socket } from 'node:net'
import { z } from 'zod'
import { clientCertificate } from '#libs/platform'

/** The header of RFC 9440 in which a proxy that ends TLS hands on the client's certificate. */
const HEADER = 'client-cert'
const LONGEST = 16_384

/** SHA-256 of the DER certificate of a `Client-Cert` field (RFC 9440 2.1: a byte sequence of RFC 8941), base64url. */
export function thumbprintOfField(field: string): string | undefined {
  const match = field.length <= LONGEST ? /^:([A-Za-z0-9+/]+={0,2}):$/.exec(field) : null
  if (!match) return undefined
  return createHash('sha256').update(Buffer.from(match[1]!, 'base64')).digest('base64url')
}

/** `MTLS_PROXIES`: addresses and networks of the proxies whose `Client-Cert` is believed, comma-separated. */
export const MtlsProxies = z
  .string()
  .transform((text, context) => {
    const list = new BlockList()
    for (const item of text
      .split(',')
      .map((part) => part.trim())
      .filter(Boolean)) {
      const [address = '', bits] = item.split('/')
      const family = isIP(address) === 6 ? 'ipv6' : 'ipv4'
      if (isIP(address) === 0 || (bits !== undefined && !/^\d{1,3}$/.test(bits))) {
        context.addIssue({ code: 'custom', message: 'must be addresses or networks such as 10.0.0.0/8' })
        return z.NEVER
      }
      if (bits === undefined) list.addAddress(address, family)
      else list.addSubnet(address, Number(bits), family)
    }
    return list
  })
  .optional()

interface Request {
  headers: Record<string, string | string[] | undefined>
  raw: { socket: Socket }
}

function isTrusted(proxies: BlockList | undefined, address: string | undefined): boolean {
  if (!proxies || !address) return false
  const plain = address.replace(/^::ffff:/, '')
  return proxies.check(plain, isIP(plain) === 6 ? 'ipv6' : 'ipv4')
}

/**
 * `x5t#S256` of the certificate that the client has proved to hold: to us, or to a proxy that we know by its address.
 * From anybody else the header is dropped, so that nothing behind us can take it for more than a claim.
 */
export function certificateOf({ headers, raw }: Request, proxies?: BlockList): string | undefined {
  const field = headers[HEADER]
  if (isTrusted(proxies, raw.socket.remoteAddress))
    return typeof field === 'string' ? thumbprintOfField(field) : undefined
  delete headers[HEADER]
  const certificate = clientCertificate(raw.socket)
  return certificate.state === 'trusted' ? certificate.thumbprint : undefined
}

/** Whether a token that is bound to one certificate came with another, or with none (RFC 8705 3). */
export function isBoundElsewhere(bound: string | undefined, shown: string | undefined): boolean {
  if (bound === undefined) return false
  if (shown === undefined) return true
  const [one, other] = [Buffer.from(bound), Buffer.from(shown)]
  return one.length !== other.length || !timingSafeEqual(one, other)
}
