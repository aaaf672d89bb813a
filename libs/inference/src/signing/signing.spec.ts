import { execFileSync, spawnSync } from 'node:child_process'
import { createSign, generateKeyPairSync, type KeyObject } from 'node:crypto'
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeEach, describe, expect, test } from 'vitest'
import { encryptFile, LocalKeyring } from '#libs/crypto'
import { shared } from '../../../../test/support/shared.js'
import { ModelError } from '../error.js'
import { Model } from '../model.js'
import { hashFiles, sealedContext, trustedKeys, verifyModel } from './artifact.js'
import { keyHint, parseBundle, signStatement, verifyBundle } from './bundle.js'
import { preAuthEncoding } from './dsse.js'
import { manifestOf, statementOf } from './statement.js'

const root = mkdtempSync(join(tmpdir(), 'vigil-signing-'))
afterAll(() => rmSync(root, { recursive: true, force: true }))

const newSigner = (namedCurve = 'P-256') => {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve })
  const hash = { 'P-256': 'sha256', 'P-384': 'sha384', 'P-521': 'sha512' }[namedCurve]!
  return {
    privateKey,
    publicKey,
    sign: async (message: Uint8Array) => createSign(hash).update(message).sign(privateKey),
    verificationKey: async () => publicKey,
  }
}
const signer = newSigner()
const trusted = new Map<string, KeyObject>([['release.pub', signer.publicKey]])

test('the pre-authentication encoding is that of the DSSE protocol', () => {
  const encoded = preAuthEncoding('http://example.com/HelloWorld', Buffer.from('hello world'))
  expect(encoded.toString()).toBe('DSSEv1 29 http://example.com/HelloWorld 11 hello world')
})

const vectors = shared('vectors/oms/test-vectors/v1.0')
describe.skipIf(!vectors)('the published vectors of OpenSSF Model Signing v1.0', () => {
  const read = (path: string) => readFileSync(join(vectors!, path), 'utf8')
  const names = (folder: string) => (vectors ? readdirSync(join(vectors, folder)) : [])

  test.each(names('valid'))('%s is a bundle, and agrees with itself', (name) => {
    const parsed = parseBundle(read(`valid/${name}`))!
    expect(manifestOf(parsed.statement)).toHaveProperty('manifest')
  })
  test.each([
    ...names('invalid').map((name) => `invalid/${name}`),
    ...names('invalid-payload').map((name) => `invalid-payload/${name}`),
  ])('%s is refused', (name) => {
    expect(parseBundle(read(name))).toBeUndefined()
    expect(verifyBundle(read(name), trusted)).toEqual({
      refused: expect.stringContaining('not an OpenSSF model signature'),
    })
  })
  test('none of them is believed: their keys are not ours', () => {
    expect(verifyBundle(read('valid/key.bundle.json'), trusted)).toEqual({
      refused: expect.stringContaining('not trusted'),
    })
    for (const name of ['valid/certificate.bundle.json', 'valid/sigstore.bundle.json'])
      expect(verifyBundle(read(name), trusted)).toEqual({ refused: expect.stringContaining('certificate') })
  })
})

test.each(['P-256', 'P-384', 'P-521'])(
  'a signature by a key of %s is believed, whatever the files are called',
  async (curve) => {
    const own = newSigner(curve)
    const files = fc.dictionary(fc.string({ minLength: 1 }), fc.stringMatching(/^[0-9a-f]{64}$/), {
      minKeys: 1,
      maxKeys: 5,
    })
    await fc.assert(
      fc.asyncProperty(files, async (entries) => {
        const manifest = new Map(Object.entries(entries))
        const text = await signStatement(statementOf('m', manifest, []), own)
        const verdict = verifyBundle(text, new Map([['k', own.publicKey]]))
        expect('manifest' in verdict && new Map([...verdict.manifest].sort())).toEqual(
          new Map([...manifest].sort()),
        )
        expect(verifyBundle(text, trusted)).toHaveProperty('refused')
      }),
      { numRuns: 20 },
    )
  },
)

test('any change of what was signed, or of the signature, is noticed', async () => {
  const manifest = new Map([['model.onnx', 'ab'.repeat(32)]])
  const bundle = JSON.parse(await signStatement(statementOf('m', manifest, []), signer))
  const other = newSigner()
  const payload = Buffer.from(bundle.dsseEnvelope.payload, 'base64').toString().replace('abab', 'abac')
  const sig = Buffer.from(bundle.dsseEnvelope.signatures[0].sig, 'base64')
  sig[sig.length - 1]! ^= 1
  const changed = [
    { ...bundle, dsseEnvelope: { ...bundle.dsseEnvelope, payload: Buffer.from(payload).toString('base64') } },
    { ...bundle, dsseEnvelope: { ...bundle.dsseEnvelope, signatures: [{ sig: sig.toString('base64') }] } },
    { ...bundle, verificationMaterial: { publicKey: { hint: keyHint(other.publicKey) } } },
  ]
  for (const wrong of changed) expect(verifyBundle(JSON.stringify(wrong), trusted)).toHaveProperty('refused')
  expect(verifyBundle(JSON.stringify(bundle), trusted)).toMatchObject({ signer: 'release.pub' })
})

test('a statement whose digest of the whole is not that of its files is refused, though signed', async () => {
  const statement = statementOf('m', new Map([['a', 'ab'.repeat(32)]]), [])
  statement.subject[0]!.digest.sha256 = 'cd'.repeat(32)
  expect(verifyBundle(await signStatement(statement, signer), trusted)).toEqual({
    refused: expect.stringContaining('contradicts itself'),
  })
})

describe('a model folder', () => {
  let folder: string
  const sign = async (by = signer) =>
    writeFileSync(
      join(folder, 'model.sig'),
      await signStatement(statementOf('m/v1', await hashFiles(folder), ['model.sig']), by),
    )
  const load = () => verifyModel(folder, { keys: trusted }, ['model.onnx'])
  beforeEach(async () => {
    folder = mkdtempSync(join(root, 'model-'))
    writeFileSync(join(folder, 'model.onnx'), 'weights')
    mkdirSync(join(folder, 'more'))
    writeFileSync(join(folder, 'more', 'notes.md'), 'notes')
    await sign()
  })

  test('is verified whole, and gives the bytes that it verified', async () => {
    const { files, signer: name } = await load()
    expect(files).toEqual({ 'model.onnx': Buffer.from('weights') })
    expect(name).toBe('release.pub')
  })

  test.each<[string, RegExp, () => void | Promise<void>]>([
    ['unsigned', /not signed/, () => rmSync(join(folder, 'model.sig'))],
    ['altered', /model.onnx was altered/, () => writeFileSync(join(folder, 'model.onnx'), 'Weights')],
    ['with a file less', /missing: more\/notes.md/, () => rmSync(join(folder, 'more', 'notes.md'))],
    [
      'with a file more',
      /not signed: more\/more.md/,
      () => writeFileSync(join(folder, 'more', 'more.md'), ''),
    ],
    ['signed by a stranger', /not trusted/, () => sign(newSigner())],
    [
      'with the signature of another',
      /altered/,
      async () => {
        const own = folder
        folder = mkdtempSync(join(root, 'model-'))
        cpSync(own, folder, { recursive: true })
        writeFileSync(join(folder, 'model.onnx'), 'other weights')
        await sign()
        cpSync(join(folder, 'model.sig'), join(own, 'model.sig'))
        folder = own
      },
    ],
    [
      'with a link',
      /neither a file nor a folder/,
      () => {
        renameSync(join(folder, 'model.onnx'), join(root, 'elsewhere'))
        symlinkSync(join(root, 'elsewhere'), join(folder, 'model.onnx'))
      },
    ],
    [
      'with a damaged signature',
      /not an OpenSSF model signature/,
      () => writeFileSync(join(folder, 'model.sig'), '{'),
    ],
  ])('%s: refused, and says why', async (_case, message, change) => {
    await change()
    await expect(load()).rejects.toThrow(ModelError)
    await expect(load()).rejects.toThrow(message)
  })

  test('stored encrypted it opens with the provider that wrapped its key, under the same signature', async () => {
    const provider = LocalKeyring.open(join(folder, '..', 'keyring.json'))
    const seal = async (context: string) => {
      const { plaintext, wrapped } = await provider.generateDataKey(context)
      const parts: Buffer[] = []
      async function* whole() {
        yield Buffer.from('weights')
      }
      for await (const part of encryptFile(plaintext, Buffer.from(context), whole())) parts.push(part)
      writeFileSync(join(folder, 'model.onnx.floe'), Buffer.concat(parts))
      writeFileSync(join(folder, 'model.onnx.floe.key'), wrapped.toString('base64'))
    }
    rmSync(join(folder, 'model.onnx'))
    await seal(sealedContext('model.onnx'))
    const open = () => verifyModel(folder, { keys: trusted, provider }, ['model.onnx'])
    expect((await open()).files['model.onnx']!.toString()).toBe('weights')
    await expect(load()).rejects.toThrow(/no key provider/)
    const bytes = readFileSync(join(folder, 'model.onnx.floe'))
    bytes[bytes.length - 1]! ^= 1
    writeFileSync(join(folder, 'model.onnx.floe'), bytes)
    await expect(open()).rejects.toThrow(/does not open/)
    await seal(sealedContext('other.onnx'))
    await expect(open()).rejects.toThrow(/does not open/)
  })
})

test('a folder of keys holds public keys of the curves that are used, at least one', async () => {
  const keys = mkdtempSync(join(root, 'keys-'))
  await expect(trustedKeys(keys)).rejects.toThrow(/no public key/)
  writeFileSync(join(keys, 'a.pub'), signer.publicKey.export({ type: 'spki', format: 'pem' }))
  expect([...(await trustedKeys(keys)).keys()]).toEqual(['a.pub'])
  const { publicKey } = generateKeyPairSync('ed25519')
  writeFileSync(join(keys, 'b.pub'), publicKey.export({ type: 'spki', format: 'pem' }))
  await expect(trustedKeys(keys)).rejects.toThrow(/b.pub is no public key/)
})

const shipped = readdirSync('models', { withFileTypes: true })
  .filter((entry) => entry.isDirectory() && entry.name !== 'keys')
  .flatMap(({ name }) => readdirSync(join('models', name)).map((version) => join('models', name, version)))
test.each(shipped)('%s is signed by the release key and loads', async (folder) => {
  const model = await Model.load(folder)
  const { manifest } = await verifyModel(folder, { keys: await trustedKeys('models/keys') })
  expect(manifest.get('model.onnx')).toBe(model.digest)
  await model.close()
})

/** The reference implementation (PyPI model-signing), where it is installed. */
const reference = process.env.MODEL_SIGNING ?? 'model_signing'
const hasReference = spawnSync(reference, ['--version']).status === 0
if (!hasReference) console.warn('skipped: model_signing (PyPI model-signing, pyOpenSSL) is not in the PATH')
describe.skipIf(!hasReference)('with the reference implementation', () => {
  const keyFile = join(root, 'reference.pem')
  const publicFile = join(root, 'reference.pub')
  writeFileSync(keyFile, signer.privateKey.export({ type: 'pkcs8', format: 'pem' }))
  writeFileSync(publicFile, signer.publicKey.export({ type: 'spki', format: 'pem' }))
  const cli = (...args: string[]) => execFileSync(reference, args, { stdio: 'pipe', encoding: 'utf8' })

  test('it believes our signature, and we believe its', async () => {
    const folder = mkdtempSync(join(root, 'reference-'))
    cpSync('models/fraud-gbdt/v1', folder, { recursive: true })
    const signature = join(folder, 'model.sig')
    rmSync(signature)
    writeFileSync(
      signature,
      await signStatement(statementOf('m', await hashFiles(folder), ['model.sig']), signer),
    )
    cli('verify', 'key', folder, '--signature', signature, '--public_key', publicFile)
    writeFileSync(join(folder, 'card.json'), '{}')
    expect(() => cli('verify', 'key', folder, '--signature', signature, '--public_key', publicFile)).toThrow()
    rmSync(signature)
    cli('sign', 'key', folder, '--signature', signature, '--private_key', keyFile)
    expect((await verifyModel(folder, { keys: trusted })).manifest.size).toBeGreaterThan(2)
  })
})
