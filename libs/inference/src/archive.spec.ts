import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { ModelArchive } from './archive.js'

const DIGEST = JSON.parse(readFileSync('models/fraud-gbdt/v1/card.json', 'utf8')).sha256 as string
const recorded = { name: 'fraud-gbdt', version: 'v1', digest: DIGEST }
let folder: string
let archive: ModelArchive

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'vigil-archive-'))
  cpSync('models/fraud-gbdt/v1', join(folder, 'fraud-gbdt', 'v1'), { recursive: true })
  cpSync('models/fraud-gbdt/v1', join(folder, 'fraud-gbdt', 'v2'), { recursive: true })
  const artifact = join(folder, 'fraud-gbdt', 'v2', 'model.onnx')
  writeFileSync(artifact, Buffer.concat([readFileSync(artifact), Buffer.from([0])]))
  archive = new ModelArchive(folder, { trusted: 'models/keys' })
})
afterAll(async () => {
  await archive.close()
  rmSync(folder, { recursive: true, force: true })
})

test('finds the artifact that a record names, and loads it once', async () => {
  const [one, two] = await Promise.all([archive.find(recorded), archive.find(recorded)])
  expect(one).toMatchObject({ name: 'fraud-gbdt', version: 'v1', digest: DIGEST })
  expect(two).toBe(one)
})

test.each([
  ['another version', { version: 'v9' }, 'gone'],
  ['a path in place of a name', { name: '../fraud-gbdt' }, 'gone'],
  ['the same version with other bytes than the record says', { digest: '0'.repeat(64) }, 'altered'],
  ['a version whose bytes are not those of its card', { version: 'v2' }, 'altered'],
])('%s', async (_case, change, missing) => {
  expect(await archive.find({ ...recorded, ...change })).toEqual({ missing })
})
