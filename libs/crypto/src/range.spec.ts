import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { shared } from '../../../test/support/shared.js'
import { encryptFile } from './file.js'
import { FLOE_HEADER_LENGTH } from './floe.js'
import { type ByteRange, decryptRange, plaintextLength, type SealedFile } from './range.js'
import { NotAuthenticError } from './xaes.js'

const key = Buffer.alloc(32, 3)
const aad = Buffer.from('object 1')
const small = { segmentLength: 64, rotationBits: 2 }

async function seal(plaintext: Uint8Array): Promise<Buffer> {
  const parts: Buffer[] = []
  async function* once() {
    yield plaintext
  }
  for await (const part of encryptFile(key, aad, once(), small)) parts.push(part)
  return Buffer.concat(parts)
}

function fileOf(bytes: Buffer) {
  const reads: number[] = []
  const file: SealedFile = {
    size: bytes.length,
    read: async (position, length) => {
      reads.push(position)
      return bytes.subarray(position, position + length)
    },
  }
  return { file, reads }
}

async function open(file: SealedFile, range: ByteRange, k = key, a = aad): Promise<Buffer> {
  const parts: Buffer[] = []
  for await (const part of decryptRange(k, a, file, range, small)) parts.push(part)
  return Buffer.concat(parts)
}

test('any range is the same cut of the plaintext, from the segments it lies in alone', async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), fc.nat(300), fc.nat(300), async (plaintext, a, b) => {
      const { file, reads } = fileOf(await seal(plaintext))
      expect(plaintextLength(file.size, small)).toBe(plaintext.length)
      const [start, end] = [a, b].map((at) => Math.min(at, plaintext.length)).sort((x, y) => x - y) as [
        number,
        number,
      ]
      const opened = await open(file, { start, end })
      expect(opened.equals(plaintext.subarray(start, end))).toBe(true)
      const touched = end > start ? Math.floor((end - 1) / 32) - Math.floor(start / 32) + 1 : 0
      expect(reads.length).toBeLessThanOrEqual(1 + Math.max(1, touched))
    }),
  )
})

const folder = shared('vectors/floe/kats')
test.skipIf(!folder)('the known answers open backwards, byte range by byte range', async () => {
  const names = readdirSync(folder!).filter((name) => name.endsWith('_ct.txt'))
  expect(names.length).toBe(17)
  for (const name of names) {
    const read = (file: string) => Buffer.from(readFileSync(join(folder!, file), 'utf8').trim(), 'hex')
    const [bytes, plaintext] = [read(name), read(name.replace('_ct', '_pt'))]
    const parameters = {
      segmentLength: bytes.readUInt32BE(2),
      rotationBits: name.includes('rotation') ? 2 : 20,
    }
    expect(plaintextLength(bytes.length, parameters), name).toBe(plaintext.length)
    const { file } = fileOf(bytes)
    const step = Math.max(1, Math.ceil(plaintext.length / 7))
    for (let start = plaintext.length - 1; start >= 0; start -= step) {
      const end = Math.min(start + step, plaintext.length)
      const range = decryptRange(
        Buffer.alloc(32),
        Buffer.from('This is AAD'),
        file,
        { start, end },
        parameters,
      )
      const parts: Buffer[] = []
      for await (const part of range) parts.push(part)
      expect(Buffer.concat(parts).equals(plaintext.subarray(start, end)), `${name} ${start}`).toBe(true)
    }
  }
})

test('nothing comes out of a segment that was changed, moved or cut, or under another key or name', async () => {
  const sealed = await seal(Buffer.alloc(100, 9))
  const at = (segment: number) => FLOE_HEADER_LENGTH + segment * 64
  const flipped = Buffer.from(sealed)
  flipped[at(1) + 20]! ^= 1
  const swapped = Buffer.concat([
    sealed.subarray(0, at(0)),
    sealed.subarray(at(1), at(2)),
    sealed.subarray(at(0), at(1)),
    sealed.subarray(at(2)),
  ])
  const cut = sealed.subarray(0, at(2))
  const second = { start: 40, end: 50 }
  for (const wrong of [flipped, swapped, cut])
    await expect(open(fileOf(wrong).file, second)).rejects.toThrow(NotAuthenticError)
  expect((await open(fileOf(flipped).file, { start: 0, end: 32 })).equals(Buffer.alloc(32, 9))).toBe(true)
  await expect(open(fileOf(sealed).file, second, Buffer.alloc(32))).rejects.toThrow(NotAuthenticError)
  await expect(open(fileOf(sealed).file, second, key, Buffer.from('object 2'))).rejects.toThrow(
    NotAuthenticError,
  )
})

test.each([
  [-1, 5],
  [5, 4],
  [0, 101],
  [Number.NaN, 5],
])('a range outside the file is refused: %s to %s', async (start, end) => {
  const { file } = fileOf(await seal(Buffer.alloc(100)))
  await expect(open(file, { start, end })).rejects.toThrow(RangeError)
})

test('a file without a segment is none', async () => {
  await expect(open(fileOf(Buffer.alloc(74)).file, { start: 0, end: 0 })).rejects.toThrow(NotAuthenticError)
})
