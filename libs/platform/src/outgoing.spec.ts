import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { isSpecialAddress, type OutgoingRules, outgoing } from './outgoing.js'

let server: Server
let port: number
let visits = 0
beforeAll(async () => {
  server = createServer((request, response) => {
    visits += 1
    if (request.url === '/away')
      return void response.writeHead(302, { location: 'https://example.org' }).end()
    if (request.url === '/large') return void response.end('x'.repeat(5_000))
    if (request.url === '/slow') return
    response.end('hello')
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  port = (server.address() as AddressInfo).port
})
afterAll(() => {
  server.closeAllConnections()
  server.close()
})

const caller = (rules?: OutgoingRules) => {
  const call = outgoing(rules)
  onTestFinished(() => call.close())
  return call
}
/** A resolver that gives these answers in turn, one each time it is asked. */
const resolver = (...answers: string[][]): OutgoingRules['lookup'] =>
  ((_host: string, _options: object, done: (error: null, addresses: object[]) => void) => {
    const addresses = answers.length > 1 ? answers.shift()! : answers[0]!
    done(
      null,
      addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
    )
  }) as never

describe('an address that is not the public Internet is not called', () => {
  test.each([
    '127.0.0.1',
    '[::1]',
    '[::ffff:127.0.0.1]',
    '[::ffff:7f00:1]',
    '[::127.0.0.1]',
    '[64:ff9b::7f00:1]',
    '[2002:7f00:1::]',
    '[fe80::1]',
    '[fc00::1]',
    '169.254.169.254',
    '10.0.0.1',
    '172.31.255.255',
    '192.168.1.1',
    '100.64.0.1',
    '0.0.0.0',
    '[::]',
    '2130706433',
    '0x7f000001',
    '0177.0.0.1',
    '127.1',
    '224.0.0.1',
    '255.255.255.255',
  ])('%s', async (host) => {
    const before = visits
    await expect(caller()(`https://${host}:${port}/`)).rejects.toThrow('The call was refused (address)')
    expect(visits).toBe(before)
  })

  test('nor behind a name that resolves to one, also if only at the second time', async () => {
    const lookup = resolver(['127.0.0.1'])
    await expect(caller({ lookup })('https://innocent.example/')).rejects.toThrow('refused (address)')
    const rebinding = caller({ lookup: resolver(['192.0.2.1', '10.0.0.1'], ['127.0.0.1']) })
    await expect(rebinding('https://innocent.example/')).rejects.toThrow('refused (address)')
    await expect(rebinding('https://innocent.example/')).rejects.toThrow('refused (address)')
  })

  test('whatever is private is special, and most that is not is not', () => {
    const octet = fc.nat(255)
    fc.assert(
      fc.property(octet, octet, octet, (a, b, c) => {
        for (const address of [
          `10.${a}.${b}.${c}`,
          `127.${a}.${b}.${c}`,
          `192.168.${a}.${b}`,
          `169.254.${a}.${b}`,
        ]) {
          expect(isSpecialAddress(address)).toBe(true)
          expect(isSpecialAddress(`::ffff:${address}`)).toBe(true)
        }
        expect(isSpecialAddress(`8.${a}.${b}.${c}`)).toBe(false)
        expect(isSpecialAddress(`2606:4700::${a.toString(16)}`)).toBe(false)
      }),
    )
    expect(isSpecialAddress('nonsense')).toBe(true)
  })
})

describe('a listed host', () => {
  const listed = { hosts: ['127.0.0.1', 'keys.internal'] }

  test('may be private and plain', async () => {
    const answer = await caller(listed)(`http://127.0.0.1:${port}/`)
    expect([answer.status, await answer.text()]).toEqual([200, 'hello'])
    const byName = await caller({ ...listed, lookup: resolver(['127.0.0.1']) })(
      `http://keys.internal:${port}/`,
    )
    expect(await byName.text()).toBe('hello')
  })

  test('is listed by its own name only', async () => {
    const lookup = resolver(['127.0.0.1'])
    for (const host of ['evil.keys.internal', 'keys.internal.evil.example'])
      await expect(caller({ ...listed, lookup })(`https://${host}:${port}/`)).rejects.toThrow(
        'refused (address)',
      )
  })

  test('may send nobody elsewhere, nor much, nor slowly', async () => {
    const call = caller({ ...listed, maxBytes: 1_000, timeoutMs: 300 })
    await expect(call(`http://127.0.0.1:${port}/away`)).rejects.toThrow('refused (redirect)')
    const large = await call(`http://127.0.0.1:${port}/large`)
    await expect(large.text()).rejects.toThrow('refused (too-large)')
    await expect(call(`http://127.0.0.1:${port}/slow`)).rejects.toThrow(/timeout/i)
  })

  test('a listed network is open to literal addresses, over HTTPS', async () => {
    const call = caller({ networks: ['127.0.0.0/8'] })
    await expect(call(`https://127.0.0.1:${port}/`)).rejects.not.toThrow('refused')
    await expect(call(`http://127.0.0.1:${port}/`)).rejects.toThrow('refused (scheme)')
  })
})

test.each([
  'http://example.org/',
  'file:///etc/passwd',
  'ftp://example.org/',
  'data:,x',
  'gopher://example.org/',
])('%s is no scheme for us', async (url) => {
  await expect(caller()(url)).rejects.toThrow('refused (scheme)')
})

test('a URL with a password in it is refused', async () => {
  await expect(caller()('https://user:secret@example.org/')).rejects.toThrow('refused (credentials)')
})
