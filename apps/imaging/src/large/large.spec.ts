import { truncateSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { LocalKeyring } from '#libs/crypto'
import { type Content, datasetOf, fileOf } from '../../../../test/support/dicom.js'
import { deidentify } from '../deidentify/deidentify.js'
import { type Blob, BlobStore } from '../storage/blob-store.js'
import { openLarge } from './image.js'

const keys = { uid: Buffer.alloc(32, 1), patient: Buffer.alloc(32, 2), date: Buffer.alloc(32, 3) }
const order = { options: [], keys }

/** Some megabytes of counting pixels: many segments of the encrypted file, several chunks. */
function largeImage(...more: Content[]): Buffer {
  const header: Content[] = [
    [0x00080016, 'UI', '1.2.840.10008.5.1.4.1.1.2'],
    [0x00080018, 'UI', '1.2.826.0.1.3680043.77.1'],
    [0x00080060, 'CS', 'CT'],
    [0x00100010, 'PN', 'JANESDOTTIR^ANNA'],
    ...more,
  ]
  const pixels = Buffer.alloc(3 * 1024 * 1024, Buffer.from(Uint8Array.from({ length: 251 }, (_, at) => at)))
  return Buffer.concat([
    fileOf(header),
    datasetOf([[0x7fe00010, 'OW', pixels]], { explicit: true, big: false }),
  ])
}
async function* pieces(bytes: Buffer) {
  for (let at = 0; at < bytes.length; at += 1_000_000) yield bytes.subarray(at, at + 1_000_000)
}

describe('an image that is too large for memory', () => {
  let root: string
  let store: BlobStore
  let source: Buffer
  let stored: Blob
  const inflatedBytes = 2 ** 30

  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), 'vigil-large-'))
    store = await BlobStore.open(join(root, 'blobs'), LocalKeyring.open(join(root, 'keyring.json')))
    source = largeImage()
    stored = await store.write('default', 'original', pieces(source))
  })
  afterAll(() => rm(root, { recursive: true, force: true }))

  test('is cleaned on a thread from encrypted file to encrypted file, to the same bytes as in memory', async () => {
    const large = await openLarge({ place: await store.place(stored), order, inflatedBytes })
    expect(large.outcome).toMatchObject({ kind: 'clean', burnedIn: 'unchecked' })
    const cleaned = await store.write('default', 'deidentified', large.chunks())
    await large.close()
    const inMemory = deidentify(source, order)
    if (inMemory.kind !== 'clean') throw new Error(inMemory.kind)
    expect((await store.readWhole(cleaned)).equals(inMemory.bytes)).toBe(true)
  })

  test('is checked at the door without being read whole; what is wrong is named', async () => {
    const outcomeOf = async (blob: Blob) => {
      const large = await openLarge({ place: await store.place(blob), inflatedBytes })
      await large.close()
      return large.outcome
    }
    expect(await outcomeOf(stored)).toEqual({ kind: 'sound' })
    const cut = await store.write('default', 'original', pieces(source.subarray(0, -7)))
    expect(await outcomeOf(cut)).toEqual({ kind: 'rejected', code: 'invalid_length' })
  })

  test('of a kind that may hold text is held back: nobody looks at its pixels', async () => {
    const ultrasound = await store.write('default', 'original', pieces(largeImage([0x00280301, 'CS', 'YES'])))
    const large = await openLarge({ place: await store.place(ultrasound), order, inflatedBytes })
    expect(large.outcome).toMatchObject({ kind: 'quarantined', reason: 'burned_in_text_possible' })
    await large.close()
  })

  test('that was tampered with on disk is not read', async () => {
    const place = await store.place(stored)
    truncateSync(place.path, 1_000_000)
    await expect(openLarge({ place, order, inflatedBytes })).rejects.toThrow()
  })
})
