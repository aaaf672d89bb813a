import { randomBytes } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { LocalKeyring, NotAuthenticError } from '#libs/crypto'
import { newId } from '#libs/platform'
import { BlobStore } from './blob-store.js'

let folder: string
let store: BlobStore
const files = () =>
  readdirSync(join(folder, 'blobs'), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))

async function* chunks(bytes: Buffer, size = 10_007) {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'vigil-blobs-'))
  store = await BlobStore.open(join(folder, 'blobs'), LocalKeyring.open(join(folder, 'keyring.json')))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

test('gives back what it was given; the disk holds none of it', async () => {
  const plaintext = Buffer.concat([
    Buffer.from('CANARY^JANE'),
    randomBytes(200_000),
    Buffer.from('CANARY^JANE'),
  ])
  const blob = await store.write('default', 'original', chunks(plaintext))
  expect(blob.bytes).toBe(plaintext.length)
  expect(await store.readWhole(blob)).toEqual(plaintext)
  expect(files()).toHaveLength(1)
  expect(readFileSync(files()[0]!).includes('CANARY')).toBe(false)
  expect(statSync(files()[0]!).mode & 0o077).toBe(0)
})

test('equal content is encrypted under different keys', async () => {
  const [one, two] = [
    await store.write('default', 'original', chunks(Buffer.alloc(100))),
    await store.write('default', 'original', chunks(Buffer.alloc(100))),
  ]
  expect(one.wrappedKey).not.toEqual(two.wrappedKey)
  const [a, b] = files().map((path) => readFileSync(path))
  expect(a).not.toEqual(b)
})

test('a stream that breaks off leaves nothing', async () => {
  async function* broken() {
    yield randomBytes(100_000)
    throw new Error('connection lost')
  }
  await expect(store.write('default', 'original', broken())).rejects.toThrow('connection lost')
  expect(files()).toEqual([])
})

test('an altered, cut or swapped file, and another tenant, are refused', async () => {
  const blob = await store.write('default', 'original', chunks(randomBytes(100_000)))
  const other = await store.write('default', 'original', chunks(randomBytes(100_000)))
  await expect(store.readWhole({ ...blob, tenant: 'other' })).rejects.toThrow(NotAuthenticError)
  await expect(store.readWhole({ ...blob, wrappedKey: other.wrappedKey })).rejects.toThrow(NotAuthenticError)
  const path = files().find((name) => name.endsWith(blob.id))!
  const bytes = readFileSync(path)
  writeFileSync(path, bytes.subarray(0, bytes.length - 1))
  await expect(store.readWhole(blob)).rejects.toThrow(NotAuthenticError)
  bytes[bytes.length >> 1]! ^= 1
  writeFileSync(path, bytes)
  await expect(store.readWhole(blob)).rejects.toThrow(NotAuthenticError)
  writeFileSync(path, readFileSync(files().find((name) => name.endsWith(other.id))!))
  await expect(store.readWhole(blob)).rejects.toThrow(NotAuthenticError)
})

test('collects what nobody refers to, once it is old enough, and nothing else', async () => {
  const kept = await store.write('default', 'original', chunks(randomBytes(10)))
  const orphan = await store.write('default', 'deidentified', chunks(randomBytes(10)))
  const fresh = await store.write('default', 'deidentified', chunks(randomBytes(10)))
  const orphanPath = files().find((name) => name.endsWith(orphan.id))!
  const draft = `${orphanPath.slice(0, -36)}${newId()}.draft`
  writeFileSync(draft, 'half an upload')
  for (const path of files().filter((name) => !name.endsWith(fresh.id))) utimesSync(path, 1, 1)
  const known = async (ids: string[]) => new Set(ids.filter((id) => id === kept.id))
  expect(await store.collect(known, 60_000, Date.now())).toBe(2)
  expect(
    files()
      .map((path) => path.slice(-36))
      .sort(),
  ).toEqual([kept.id, fresh.id].sort())
})

test('no name but our own becomes a path', async () => {
  await expect(store.remove({ id: '../../etc/passwd', kind: 'original' })).rejects.toThrow(/UUID/)
})
