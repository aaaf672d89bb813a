// A process of its own that takes images in and reads them back, without pause, until its standard input ends; then
// it prints how often it did and what failed. `node sealing-process.js DATABASE_URL DATA_DIR`
import { randomBytes, randomInt } from 'node:crypto'
import { join } from 'node:path'
import { associate, patientRefOf, reidentify } from '../../apps/imaging/src/storage/association.js'
import { BlobStore } from '../../apps/imaging/src/storage/blob-store.js'
import { findBlob, insertBlob, insertImage } from '../../apps/imaging/src/storage/images.sql.js'
import { openBlindIndex } from '../../libs/crypto/src/blind-index.js'
import { openKeys } from '../../libs/crypto/src/open-keys.js'
import { KeySettings } from '../../libs/crypto/src/settings.js'
import { createPool, inTransaction } from '../../libs/platform/src/database.js'
import { newId } from '../../libs/platform/src/ids.js'

const [databaseUrl = '', dataDir = ''] = process.argv.slice(2)
const pool = createPool(databaseUrl, { applicationName: 'sealing-process', max: 4 })
// No cache: every read unwraps, as in a process that has just started.
const settings = { ...KeySettings.parse({ KEY_CACHE_SIZE: '0' }), DATA_DIR: dataDir }
const keys = await openKeys(settings, pool)
const store = await BlobStore.open(join(dataDir, 'blobs'), keys.provider)
const index = openBlindIndex(keys.derive, settings.BLIND_INDEX_VERSIONS)
const TENANT = 'default'

interface Written {
  correlationId: string
  patientId: string
  blob: string
  content: Buffer
}
const written: Written[] = []
const done = { writes: 0, reads: 0, failures: [] as string[] }

async function* once(content: Buffer) {
  yield content
}

async function write(): Promise<void> {
  const patientId = `MRN-${randomInt(12)}`
  const content = randomBytes(1_000)
  const patientRef = await patientRefOf(pool, index, TENANT, patientId)
  const blob = await store.write(TENANT, 'original', once(content))
  const correlationId = newId()
  await inTransaction(pool, async (client) => {
    await insertBlob(client, blob)
    const image = { correlationId, tenant: TENANT, patientRef, modality: 'CR', jobId: newId() }
    await insertImage(client, { ...image, clientId: 'clinic', original: blob.id })
    await associate(client, keys.provider, image, { patient_id: patientId, physician_id: 'DR' })
  })
  written.push({ correlationId, patientId, blob: blob.id, content })
  done.writes += 1
}

async function read(): Promise<void> {
  const expected = written[randomInt(written.length)]
  if (!expected) return
  const blob = await findBlob(pool, expected.blob, TENANT)
  const found = await inTransaction(pool, (client) =>
    reidentify(client, keys.provider, TENANT, expected.correlationId),
  )
  const same = blob && (await store.readWhole(blob)).equals(expected.content)
  if (!same || found?.identity.patient_id !== expected.patientId) throw new Error('read something else')
  done.reads += 1
}

let ended = false
process.stdin.resume().on('end', () => {
  ended = true
})
let told = 0
while (!ended) {
  await write().catch((error: Error) => done.failures.push(`write: ${error.message}`))
  for (let n = 0; n < 3 && written.length > 0; n++)
    await read().catch((error: Error) => done.failures.push(`read: ${error.message}`))
  if (done.writes !== told) process.stdout.write(`${JSON.stringify(done)}\n`)
  told = done.writes
}
await pool.end()
keys.close()
