import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { shared } from '../../../test/support/shared.js'
import { blindIndex, openBlindIndex } from './blind-index.js'
import { type FieldPlace, openField, sealField } from './field.js'
import { decryptFile, encryptFile } from './file.js'
import { FLOE_HEADER_LENGTH } from './floe.js'
import { hkdfExpand } from './hkdf.js'
import { LocalKeyring } from './keyring.js'
import { NotAuthenticError, xaesOpen, xaesSeal } from './xaes.js'

const hex = (text: string) => Buffer.from(text, 'hex')
async function* stream(...chunks: Uint8Array[]) {
  yield* chunks
}
async function collect(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  for await (const chunk of source) chunks.push(chunk)
  return Buffer.concat(chunks)
}

const bytes = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, at) => from + at)

test.each([
  [
    'A.1',
    '077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5',
    bytes(0xf0, 0xf9),
    '3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865',
  ],
  [
    'A.2',
    '06a6b88c5853361a06104c9ceb35b45cef760014904671014a193f40c15fc244',
    bytes(0xb0, 0xff),
    'b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87',
  ],
  [
    'A.3',
    '19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04',
    [],
    '8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8',
  ],
] as const)('HKDF-Expand: RFC 5869 %s', (_name, prk, info, okm) => {
  const made = hkdfExpand('sha256', hex(prk), Buffer.from(info), okm.length / 2)
  expect(made.toString('hex')).toBe(okm)
})

test('HKDF-Expand gives 255 blocks and no more', () => {
  const prk = Buffer.alloc(48, 1)
  expect(hkdfExpand('sha384', prk, Buffer.alloc(0), 255 * 48)).toHaveLength(255 * 48)
  expect(() => hkdfExpand('sha384', prk, Buffer.alloc(0), 255 * 48 + 1)).toThrow(RangeError)
})

describe('XAES-256-GCM', () => {
  const golden = shared('vectors/golden.json')
  test.skipIf(!golden)('published vectors', () => {
    const { vectors } = JSON.parse(readFileSync(golden!, 'utf8')).xaes256gcm
    expect(vectors).toHaveLength(2)
    for (const v of vectors) {
      const [key, nonce, aad] = [hex(v.K), Buffer.from(v.N_ascii), Buffer.from(v.aad_ascii)]
      expect(xaesSeal(key, nonce, Buffer.from(v.pt_ascii), aad).toString('hex')).toBe(v.ct)
      expect(xaesOpen(key, nonce, hex(v.ct), aad).toString()).toBe(v.pt_ascii)
    }
  })

  test('a shortened tag is refused', () => {
    const [key, nonce, aad] = [Buffer.alloc(32, 1), Buffer.alloc(24, 2), Buffer.alloc(0)]
    const sealed = xaesSeal(key, nonce, Buffer.from('text'), aad)
    expect(() => xaesOpen(key, nonce, sealed.subarray(0, 8), aad)).toThrow(NotAuthenticError)
  })
})

describe('a sealed field', () => {
  const dataKey = { id: '01890a5d-ac96-774b-bcce-b302099a8057', key: Buffer.alloc(32, 7) }
  const place: FieldPlace = { tenant: 'default', table: 'imaging.association', column: 'patient', row: 'r1' }

  test('opens at its place and nowhere else', () => {
    const sealed = sealField(dataKey, place, Buffer.from('DOE^JANE'))
    expect(sealed.toString('latin1')).not.toContain('DOE')
    expect(openField(dataKey, place, sealed).toString()).toBe('DOE^JANE')
    const elsewhere: FieldPlace[] = [
      { ...place, tenant: 'other' },
      { ...place, table: 'imaging.image' },
      { ...place, column: 'physician' },
      { ...place, row: 'r2' },
      { ...place, tenant: 'defaulti', table: 'maging.association' },
    ]
    for (const other of elsewhere) expect(() => openField(dataKey, other, sealed)).toThrow(NotAuthenticError)
    const otherKey = { ...dataKey, id: '01890a5d-ac96-774b-bcce-b302099a8058' }
    expect(() => openField(otherKey, place, sealed)).toThrow(NotAuthenticError)
  })

  test('no two places share a ciphertext, whatever they are called', () => {
    const text = fc.string({ maxLength: 4, unit: fc.constantFrom('a', 'b', '.', '|', '\0', 'é') })
    const anyPlace = fc.record({ tenant: text, table: text, column: text, row: text })
    fc.assert(
      fc.property(anyPlace, anyPlace, (here, there) => {
        fc.pre(JSON.stringify(here) !== JSON.stringify(there))
        const sealed = sealField(dataKey, here, Buffer.from('text'))
        expect(openField(dataKey, here, sealed).toString()).toBe('text')
        expect(() => openField(dataKey, there, sealed)).toThrow(NotAuthenticError)
      }),
    )
  })

  test('a tag of 4 bytes is refused, though it is the beginning of the right one', () => {
    const sealed = sealField(dataKey, place, Buffer.from('text'))
    for (const kept of [4, 8, 12, 15])
      expect(() => openField(dataKey, place, sealed.subarray(0, sealed.length - 16 + kept))).toThrow(
        NotAuthenticError,
      )
  })

  test('any changed bit is noticed', () => {
    const sealed = sealField(dataKey, place, Buffer.from('text'))
    for (let bit = 0; bit < sealed.length * 8; bit++) {
      const changed = Buffer.from(sealed)
      changed[bit >> 3]! ^= 1 << (bit & 7)
      expect(() => openField(dataKey, place, changed)).toThrow(NotAuthenticError)
    }
  })
})

describe('FLOE', () => {
  const folder = shared('vectors/floe/kats')
  const names = folder ? readdirSync(folder).filter((name) => name.endsWith('_ct.txt')) : []
  test.skipIf(!folder)('published known answers of every implementation', async () => {
    expect(names.length).toBe(17)
    for (const name of names) {
      const ciphertext = hex(readFileSync(join(folder!, name), 'utf8').trim())
      const plaintext = hex(readFileSync(join(folder!, name.replace('_ct', '_pt')), 'utf8').trim())
      const segmentLength = ciphertext.readUInt32BE(2)
      const parameters = { segmentLength, rotationBits: name.includes('rotation') ? 2 : 20 }
      const opened = decryptFile(Buffer.alloc(32), Buffer.from('This is AAD'), stream(ciphertext), parameters)
      expect((await collect(opened)).equals(plaintext), name).toBe(true)
    }
  })

  const key = Buffer.alloc(32, 3)
  const aad = Buffer.from('object 1')
  const small = { segmentLength: 64, rotationBits: 2 }

  test('round trip at every length around the segment borders, however the chunks fall', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.uint8Array({ maxLength: 90 }), { maxLength: 6 }), async (chunks) => {
        const sealed = await collect(encryptFile(key, aad, stream(...chunks), small))
        const halves = [sealed.subarray(0, 31), sealed.subarray(31, 100), sealed.subarray(100)]
        const opened = await collect(decryptFile(key, aad, stream(...halves), small))
        expect(opened.equals(Buffer.concat(chunks))).toBe(true)
      }),
    )
  })

  test('cut, extended, reordered, changed, or under another key or name: nothing of the wrong part comes out', async () => {
    const sealed = await collect(encryptFile(key, aad, stream(Buffer.alloc(200, 9)), small))
    const at = (n: number) => FLOE_HEADER_LENGTH + n * 64
    const open = (bytes: Uint8Array, k = key, a = aad) => collect(decryptFile(k, a, stream(bytes), small))
    const swapped = Buffer.concat([
      sealed.subarray(0, at(0)),
      sealed.subarray(at(1), at(2)),
      sealed.subarray(at(0), at(1)),
      sealed.subarray(at(2)),
    ])
    const cut = sealed.subarray(0, at(2))
    const extended = Buffer.concat([sealed, Buffer.alloc(64)])
    for (const wrong of [
      swapped,
      cut,
      extended,
      sealed.subarray(0, 50),
      sealed.subarray(0, sealed.length - 1),
    ]) {
      await expect(open(wrong)).rejects.toThrow(NotAuthenticError)
    }
    await expect(open(sealed, Buffer.alloc(32, 4))).rejects.toThrow(NotAuthenticError)
    await expect(open(sealed, key, Buffer.from('object 2'))).rejects.toThrow(NotAuthenticError)
  })
})

describe('the local keyring', () => {
  const path = () => join(mkdtempSync(join(tmpdir(), 'vigil-keyring-')), 'keyring.json')

  test('is created for its owner alone and refuses a wider mode', () => {
    const file = path()
    LocalKeyring.open(file)
    expect(statSync(file).mode & 0o777).toBe(0o600)
    chmodSync(file, 0o640)
    expect(() => LocalKeyring.open(file)).toThrow(/read by others/)
  })

  test('wraps for a context, unwraps after a rotation, also in another process that had it open', async () => {
    const file = path()
    const ring = LocalKeyring.open(file)
    const other = LocalKeyring.open(file)
    const { plaintext, wrapped } = await ring.generateDataKey('patient 1')
    expect(wrapped.includes(plaintext)).toBe(false)
    await expect(ring.unwrap(wrapped, 'patient 2')).rejects.toThrow(NotAuthenticError)
    expect(await ring.rotate()).toBe('local 2')
    const rewrapped = await ring.rewrap(wrapped, 'patient 1')
    expect(rewrapped.readUInt32BE(1)).toBe(2)
    for (const blob of [wrapped, rewrapped])
      expect((await other.unwrap(blob, 'patient 1')).equals(plaintext)).toBe(true)
    expect(other.derive('index').equals(ring.derive('index'))).toBe(true)
    expect(ring.derive('index').equals(ring.derive('pseudonym'))).toBe(false)
  })

  test('a rotation counts at once in every process that has the file open', async () => {
    const file = path()
    const [ring, other] = [LocalKeyring.open(file), LocalKeyring.open(file)]
    await ring.rotate()
    const { plaintext, wrapped } = await other.generateDataKey('patient 1')
    expect(wrapped.readUInt32BE(1)).toBe(2)
    expect(await other.rotate()).toBe('local 3')
    expect((await ring.unwrap(wrapped, 'patient 1')).equals(plaintext)).toBe(true)
  })

  test('two rotations at once are refused: one would lose the key of the other', async () => {
    const file = path()
    const ring = LocalKeyring.open(file)
    writeFileSync(`${file}.lock`, '')
    await expect(ring.rotate()).rejects.toThrow(/is being changed/)
    rmSync(`${file}.lock`)
    expect(await ring.rotate()).toBe('local 2')
    expect(readdirSync(dirname(file))).toEqual(['keyring.json'])
    expect(statSync(file).mode & 0o777).toBe(0o600)
  })

  test('no key is wrapped under a keyring that is not there any more', async () => {
    const file = path()
    const ring = LocalKeyring.open(file)
    rmSync(file)
    await expect(ring.generateDataKey('patient 1')).rejects.toThrow(/ENOENT/)
  })

  test.each([
    ['another format', (text: string) => text.replace('"format": 1', '"format": 2')],
    ['cut', (text: string) => text.slice(0, 90)],
    ['a short key', (text: string) => text.replace(/"key": "..../, '"key": "')],
  ])('a damaged file is named, not replaced, and not quoted: %s', (_case, damage) => {
    const file = path()
    LocalKeyring.open(file)
    const damaged = damage(readFileSync(file, 'utf8'))
    writeFileSync(file, damaged)
    expect(() => LocalKeyring.open(file)).toThrow(
      new Error(`The keyring ${file} is damaged: restore it from a backup`),
    )
    expect(readFileSync(file, 'utf8')).toBe(damaged)
  })
})

test('blind indexes differ by column, tenant, value and key', () => {
  const key = Buffer.alloc(32, 1)
  const all = [
    blindIndex(key, 'patient', 'a', '1'),
    blindIndex(key, 'patient', 'b', '1'),
    blindIndex(key, 'card', 'a', '1'),
    blindIndex(key, 'patient', 'a', '2'),
    blindIndex(Buffer.alloc(32, 2), 'patient', 'a', '1'),
  ]
  expect(new Set(all).size).toBe(all.length)
  expect(blindIndex(key, 'patient', 'a', '1')).toBe(all[0])
})

test('a blind index looks under every live version, writes under the first, and takes one way of writing an accent', () => {
  const derive = (purpose: string) => Buffer.from(purpose.padEnd(32, '.'))
  const indexed = { column: 'patient', tenant: 'a', value: 'M\u00fcller' }
  const [first, second, ...others] = openBlindIndex(derive, [2, 1]).candidates(indexed)
  expect([first.slice(0, 2), second!.slice(0, 2), others.length]).toEqual(['2:', '1:', 0])
  expect(first.slice(2)).not.toBe(second!.slice(2))
  expect(second).toBe(blindIndex(derive('blind index'), 'patient', 'a', 'Mu\u0308ller'))
})
