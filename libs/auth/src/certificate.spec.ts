import { createHash } from 'node:crypto'
import type { Socket } from 'node:net'
import { describe, expect, test } from 'vitest'
import { certificateOf, isBoundElsewhere, MtlsProxies, thumbprintOfField } from './certificate.js'

const DER = Buffer.from('not really a certificate, which is none of this function’s business')
const FIELD = `:${DER.toString('base64')}:`
const THUMBPRINT = createHash('sha256').update(DER).digest('base64url')

const request = (address: string, field?: string) => ({
  headers: { 'client-cert': field } as Record<string, string | undefined>,
  raw: { socket: { remoteAddress: address } as Socket },
})

describe('Client-Cert (RFC 9440)', () => {
  const proxies = MtlsProxies.parse('10.1.0.0/16, 192.0.2.7, 2001:db8::/32')

  test.each(['10.1.2.3', '::ffff:10.1.2.3', '192.0.2.7', '2001:db8::1'])('is believed from %s', (address) => {
    expect(certificateOf(request(address, FIELD), proxies)).toBe(THUMBPRINT)
  })

  test.each(['10.2.0.1', '192.0.2.8', '::1', '127.0.0.1'])('from %s it is dropped', (address) => {
    const asked = request(address, FIELD)
    expect(certificateOf(asked, proxies)).toBeUndefined()
    expect(asked.headers).not.toHaveProperty('client-cert')
  })

  test('without configured proxies it is dropped from everybody', () => {
    const asked = request('10.1.2.3', FIELD)
    expect(certificateOf(asked, MtlsProxies.parse(undefined))).toBeUndefined()
    expect(asked.headers).not.toHaveProperty('client-cert')
  })

  test.each(['', DER.toString('base64'), ':%%%:', `${FIELD}, ${FIELD}`, `:${'A'.repeat(17_000)}:`])(
    'what is not one byte sequence is no certificate',
    (field) => expect(thumbprintOfField(field)).toBeUndefined(),
  )

  test.each(['10.0.0.0/x', 'proxy.example', '10.0.0.300'])('MTLS_PROXIES=%s is refused', (text) => {
    expect(MtlsProxies.safeParse(text).success).toBe(false)
  })
})

test('a token that is bound to no certificate comes with any; a bound one with its own only', () => {
  expect(isBoundElsewhere(undefined, undefined)).toBe(false)
  expect(isBoundElsewhere(undefined, THUMBPRINT)).toBe(false)
  expect(isBoundElsewhere(THUMBPRINT, THUMBPRINT)).toBe(false)
  expect(isBoundElsewhere(THUMBPRINT, undefined)).toBe(true)
  expect(isBoundElsewhere('', undefined)).toBe(true)
  expect(isBoundElsewhere(THUMBPRINT, `${THUMBPRINT.slice(0, -1)}A`)).toBe(true)
})
