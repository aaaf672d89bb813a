import { createReadStream, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openLarge } from '../../../apps/imaging/src/large/image.js'
import { BlobStore } from '../../../apps/imaging/src/storage/blob-store.js'
import { LocalKeyring } from '../../../libs/crypto/src/keyring.js'

/** What the imaging worker does with one large image, in a process of its own: prints what it took as JSON. */
const [file] = process.argv.slice(2) as [string]
const root = mkdtempSync(join(tmpdir(), 'vigil-bench-'))
const keys = { uid: Buffer.alloc(32, 1), patient: Buffer.alloc(32, 2), date: Buffer.alloc(32, 3) }
try {
  const store = await BlobStore.open(join(root, 'blobs'), LocalKeyring.open(join(root, 'keyring.json')))
  const idle = process.memoryUsage().rss
  const original = await store.write('bench', 'original', createReadStream(file))
  const begun = performance.now()
  const place = await store.place(original)
  const large = await openLarge({ place, order: { options: [], keys }, inflatedBytes: 2 ** 28 })
  await store.write('bench', 'deidentified', large.chunks())
  await large.close()
  const seconds = (performance.now() - begun) / 1000
  const peak = process.resourceUsage().maxRSS * 1024
  console.log(JSON.stringify({ seconds, aboveIdleMb: (peak - idle) / 2 ** 20, peakMb: peak / 2 ** 20 }))
} finally {
  rmSync(root, { recursive: true, force: true })
}
