import { randomBytes, verify } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createServer as createTlsServer } from 'node:tls'
import type { CreateKeyCommandInput } from '@aws-sdk/client-kms'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createAuthority, hasOpenssl } from '../../../test/support/certificates.js'
import {
  freePort,
  hasOpenBao,
  isInstalled,
  type OpenBao,
  serve,
  startOpenBao,
  stopServers,
} from '../../../test/support/key-services.js'
import { AwsKms } from './aws-kms.js'
import { LocalKeyring } from './keyring.js'
import { KeyServiceUnavailableError, type RotatingKeyProvider } from './provider.js'
import { Succession } from './succession.js'
import { VaultTransit } from './vault.js'
import { NotAuthenticError } from './xaes.js'

const folder = mkdtempSync(join(tmpdir(), 'vigil-providers-'))
afterAll(() => {
  stopServers()
  rmSync(folder, { recursive: true, force: true })
})

const local = () => LocalKeyring.open(join(folder, `${randomBytes(4).toString('hex')}.json`))

interface Offered {
  provider: RotatingKeyProvider
  /** Another process's view of the same keys. */
  other: RotatingKeyProvider
}

/** What every provider must do, whatever stands behind it. */
function conforms(name: string, open: () => Promise<Offered>): void {
  describe(name, () => {
    let provider: RotatingKeyProvider
    let other: RotatingKeyProvider
    beforeAll(async () => {
      const offered = await open()
      provider = offered.provider
      other = offered.other
    }, 30_000)

    test('a data key is 32 bytes, fresh, and opens in another process under its context alone', async () => {
      const [a, b] = [await provider.generateDataKey('["a",1]'), await provider.generateDataKey('["a",1]')]
      expect([a.plaintext.length, b.plaintext.length]).toEqual([32, 32])
      expect(a.plaintext.equals(b.plaintext)).toBe(false)
      expect(a.wrapped.includes(a.plaintext)).toBe(false)
      expect((await other.unwrap(a.wrapped, '["a",1]')).equals(a.plaintext)).toBe(true)
      for (const context of ['["a",2]', '["a",1] ', 'a'])
        await expect(other.unwrap(a.wrapped, context)).rejects.toThrow(NotAuthenticError)
    })

    test('wraps what it is given, from one byte to the length of a private key', async () => {
      for (const length of [1, 32, 300, 2048]) {
        const secret = randomBytes(length)
        const wrapped = await provider.wrap(secret, 'context é')
        expect((await other.unwrap(wrapped, 'context é')).equals(secret)).toBe(true)
      }
    })

    test('what was changed, cut or made up does not open, nor is it re-wrapped', async () => {
      const { wrapped } = await provider.generateDataKey('a')
      const flipped = Buffer.from(wrapped)
      flipped[flipped.length - 3]! ^= 4
      const wrong = [flipped, wrapped.subarray(0, 20), Buffer.alloc(0), randomBytes(80), wrapped.subarray(1)]
      for (const bytes of wrong) {
        await expect(provider.unwrap(bytes, 'a')).rejects.toThrow(NotAuthenticError)
        await expect(provider.rewrap(bytes, 'a')).rejects.toThrow(NotAuthenticError)
      }
      await expect(provider.rewrap(wrapped, 'b')).rejects.toThrow(NotAuthenticError)
    })

    test('a rotation wraps anew at once, opens what is old, and a rewrap moves it over', async () => {
      const { plaintext, wrapped } = await provider.generateDataKey('a')
      const before = await provider.currentVersion()
      expect(provider.versionOf(wrapped)).toBe(before)
      const after = await provider.rotate()
      expect(after).not.toBe(before)
      expect(await provider.currentVersion()).toBe(after)
      expect(provider.versionOf(await provider.wrap(plaintext, 'a'))).toBe(after)
      expect((await other.unwrap(wrapped, 'a')).equals(plaintext)).toBe(true)
      const moved = await provider.rewrap(wrapped, 'a')
      expect(provider.versionOf(moved)).toBe(after)
      expect((await other.unwrap(moved, 'a')).equals(plaintext)).toBe(true)
      await expect(other.unwrap(moved, 'b')).rejects.toThrow(NotAuthenticError)
      expect(provider.versionOf(randomBytes(3))).toBeUndefined()
    })

    test('signs so that anybody with the public key can check it, also after a rotation', async () => {
      const message = randomBytes(3000)
      const signature = await provider.sign(message)
      const key = await other.verificationKey()
      expect(key.asymmetricKeyDetails).toEqual({ namedCurve: 'prime256v1' })
      await provider.rotate()
      expect(verify('sha256', message, key, signature)).toBe(true)
      expect(verify('sha256', Buffer.from('other'), key, signature)).toBe(false)
      expect((await provider.verificationKey()).equals(key)).toBe(true)
    })
  })
}

conforms('the local keyring', async () => {
  const path = join(folder, 'shared.json')
  return { provider: LocalKeyring.open(path), other: LocalKeyring.open(path) }
})

conforms('a keyring that succeeds another', async () => {
  const path = join(folder, 'successor.json')
  const open = () => new Succession(LocalKeyring.open(path), local())
  return { provider: open(), other: open() }
})

describe.skipIf(!hasOpenBao())('OpenBao', () => {
  let bao: OpenBao
  const options = () => ({ address: bao.address, mount: 'transit', key: 'vigil', signingKey: 'vigil-sign' })
  beforeAll(async () => {
    bao = await startOpenBao(folder)
  }, 30_000)

  conforms('Transit', async () => {
    const tokenFile = join(folder, 'token')
    writeFileSync(tokenFile, bao.rootToken, { mode: 0o600 })
    const login = bao.login
    return {
      provider: new VaultTransit({ ...options(), login }),
      other: new VaultTransit({ ...options(), login: { kind: 'token-file', path: tokenFile } }),
    }
  })

  test('a revoked token is replaced by a new login; a wrong one says so and is no answer', async () => {
    const provider = new VaultTransit({ ...options(), login: bao.login })
    const { plaintext, wrapped } = await provider.generateDataKey('a')
    await bao.call('PUT', 'sys/leases/revoke-prefix/auth/approle/login')
    expect((await provider.unwrap(wrapped, 'a')).equals(plaintext)).toBe(true)
    const stranger = new VaultTransit({ ...options(), login: { kind: 'token', token: 'none' } })
    await expect(stranger.unwrap(wrapped, 'a')).rejects.toThrow(KeyServiceUnavailableError)
  })

  test('a Transit key that binds no context is refused', async () => {
    await bao.call('POST', 'transit/keys/plain', { type: 'aes256-gcm96' })
    const login = { kind: 'token' as const, token: bao.rootToken }
    const provider = new VaultTransit({ ...options(), key: 'plain', login })
    await expect(provider.currentVersion()).rejects.toThrow(/derived=true/)
  })

  test('a namespace is its own: the same names elsewhere open nothing', async () => {
    await bao.call('POST', 'sys/namespaces/team')
    await bao.call('POST', 'sys/mounts/transit', { type: 'transit' }, 'team')
    await bao.call('POST', 'transit/keys/vigil', { type: 'aes256-gcm96', derived: true }, 'team')
    const login = { kind: 'token' as const, token: bao.rootToken }
    const [team, root] = [
      new VaultTransit({ ...options(), login, namespace: 'team' }),
      new VaultTransit({ ...options(), login }),
    ]
    const { plaintext, wrapped } = await team.generateDataKey('a')
    expect((await team.unwrap(wrapped, 'a')).equals(plaintext)).toBe(true)
    await expect(root.unwrap(wrapped, 'a')).rejects.toThrow(NotAuthenticError)
  })

  test.skipIf(!hasOpenssl)('over TLS it is believed by the configured authority alone', async () => {
    const authority = createAuthority()
    const { cert, key } = authority.issue('vault')
    const target = new URL(bao.address)
    const files = { cert: readFileSync(cert), key: readFileSync(key) }
    const proxy = createTlsServer(files, (socket) => {
      const upstream = connect(Number(target.port), target.hostname)
      socket.on('error', () => upstream.destroy())
      upstream.on('error', () => socket.destroy())
      socket.pipe(upstream).pipe(socket)
    }).listen(0, '127.0.0.1')
    await new Promise((resolve) => proxy.once('listening', resolve))
    const address = `https://127.0.0.1:${(proxy.address() as { port: number }).port}`
    const login = { kind: 'token' as const, token: bao.rootToken }
    const open = (ca?: string) => new VaultTransit({ ...options(), address, login, ...(ca ? { ca } : {}) })
    const known = open(readFileSync(authority.cert, 'utf8'))
    const { plaintext, wrapped } = await known.generateDataKey('a')
    expect((await known.unwrap(wrapped, 'a')).equals(plaintext)).toBe(true)
    await expect(open().unwrap(wrapped, 'a')).rejects.toThrow(/cannot be reached \((SELF_SIGNED|UNABLE_TO)/)
    known.close()
    proxy.close()
    authority.remove()
  })

  test('keys of a keyring move to Vault without stopping', async () => {
    const old = local()
    const { plaintext, wrapped } = await old.generateDataKey('a')
    const vault = new VaultTransit({ ...options(), login: { kind: 'token', token: bao.rootToken } })
    const both = new Succession(vault, old)
    expect((await both.unwrap(wrapped, 'a')).equals(plaintext)).toBe(true)
    const moved = await both.rewrap(wrapped, 'a')
    expect(both.versionOf(moved)).toBe(await vault.currentVersion())
    expect((await vault.unwrap(moved, 'a')).equals(plaintext)).toBe(true)
    await expect(both.unwrap(randomBytes(60), 'a')).rejects.toThrow(NotAuthenticError)
  })
})

const hasMoto = isInstalled('moto_server', '--help')
describe.skipIf(!hasMoto)('AWS KMS (moto)', () => {
  conforms('a symmetric key', async () => {
    Object.assign(process.env, { AWS_ACCESS_KEY_ID: 'test', AWS_SECRET_ACCESS_KEY: 'test' })
    const port = await freePort()
    const endpoint = `http://127.0.0.1:${port}`
    await serve('moto_server', ['-H', '127.0.0.1', '-p', String(port)], endpoint, folder)
    const { CreateKeyCommand, KMSClient } = await import('@aws-sdk/client-kms')
    const region = 'eu-central-1'
    const client = new KMSClient({ endpoint, region })
    const create = async (input: CreateKeyCommandInput) =>
      (await client.send(new CreateKeyCommand(input))).KeyMetadata!.Arn!
    const keyId = await create({})
    const signingKeyId = await create({ KeySpec: 'ECC_NIST_P256', KeyUsage: 'SIGN_VERIFY' })
    const options = { keyId, signingKeyId, endpoint, region }
    const next = await AwsKms.open({ ...options, keyId: await create({}), previousKeyIds: [keyId] })
    const first = await AwsKms.open(options)
    const { plaintext, wrapped } = await first.generateDataKey('a')
    // A key that was replaced by another still opens, and only where it is named.
    expect((await next.unwrap(wrapped, 'a')).equals(plaintext)).toBe(true)
    const moved = await next.rewrap(wrapped, 'a')
    expect((await next.unwrap(moved, 'a')).equals(plaintext)).toBe(true)
    await expect(first.unwrap(moved, 'a')).rejects.toThrow(NotAuthenticError)
    return { provider: first, other: await AwsKms.open(options) }
  })
})

describe('a key management service that is away', () => {
  test.each([
    [
      'Vault',
      async (port: number) =>
        new VaultTransit({
          address: `http://127.0.0.1:${port}`,
          mount: 'transit',
          key: 'k',
          signingKey: 's',
          login: { kind: 'token', token: 't' },
          timeoutMs: 300,
        }),
    ],
    [
      'AWS KMS',
      async (port: number) =>
        AwsKms.open({ keyId: 'k', region: 'x', endpoint: `http://127.0.0.1:${port}`, timeoutMs: 300 }),
    ],
  ])('%s: every call says that it may be tried again', async (_name, open) => {
    Object.assign(process.env, { AWS_ACCESS_KEY_ID: 'test', AWS_SECRET_ACCESS_KEY: 'test' })
    const silent = createServer().listen(0, '127.0.0.1')
    await new Promise((resolve) => silent.once('listening', resolve))
    const provider = await open((silent.address() as { port: number }).port)
    await expect(provider.generateDataKey('a')).rejects.toThrow(KeyServiceUnavailableError)
    silent.close()
    const refused = await open(await freePort())
    await expect(refused.wrap(Buffer.alloc(32), 'a')).rejects.toMatchObject({ statusCode: 503 })
  })
})
