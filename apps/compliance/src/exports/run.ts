import { createHash, type Hash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Pool } from 'pg'
import type { Logger } from 'pino'
import {
  inclusionProof,
  type NodeReader,
  parseCheckpoint,
  parseNote,
  parseVerificationKey,
  rangeProof,
} from '#libs/audit'
import { type DataKey, dataKeyFor, type KeyProvider } from '#libs/crypto'
import { inTransaction } from '#libs/platform'
import type { LogReader } from '../trail/log.js'
import type { FileName } from './export.js'
import {
  beginRun,
  complete,
  type ExportRow,
  fail,
  fixCheckpoint,
  insertParts,
  OvertakenError,
  type Part,
  partsOf,
  setTotal,
} from './exports.sql.js'
import { rememberedNodes } from './remember.js'
import { entriesAt, indicesOf } from './selection.js'
import { type Exported, ExportSink, type Header, type Written } from './sink.js'
import type { ExportStore } from './store.js'

/** What exports are made with. */
export interface ExportWorks {
  pool: Pool
  keyring: KeyProvider
  log: LogReader
  store: ExportStore
  logger: Logger
  /** Entries in one encrypted part: all that is in memory at once, and all that a crash costs. */
  partEntries: number
}

const MAX_ATTEMPTS = 20

export const exportKey = (
  pool: Pool,
  keyring: KeyProvider,
  { id, tenant }: Pick<ExportRow, 'id' | 'tenant'>,
) => inTransaction(pool, (client) => dataKeyFor(client, keyring, { tenant, purpose: 'export', subject: id }))

/**
 * Writes an export, part by part. Safe to be run again at any point: what earlier runs put on the disk stays, the
 * checkpoint is the same, and the later run takes over. Rejects when the job is to be tried again.
 */
export async function runExport(works: ExportWorks, id: string): Promise<void> {
  const row = await beginRun(works.pool, id)
  if (!row) return
  try {
    if (row.attempt > MAX_ATTEMPTS) return await fail(works.pool, row, 'attempts_exhausted')
    await new ExportRun(works, row, await exportKey(works.pool, works.keyring, row)).run()
  } catch (error) {
    if (error instanceof OvertakenError) return
    throw error
  }
}

/** The text of the checkpoint that the export is proved against, fixed by its first run. */
async function checkpointOf({ pool, log }: ExportWorks, row: ExportRow): Promise<string> {
  if (row.checkpoint) return row.checkpoint
  let newest = await log.checkpoint()
  // The witnesses answer within a moment; an export without them is worth less, but is better than none.
  for (let tries = 0; tries < 20 && (!newest || keysIn(log, newest.note).length < log.keys.length); tries++) {
    await sleep(250)
    newest = await log.checkpoint()
  }
  if (!newest) throw new Error('The log has no checkpoint yet')
  await fixCheckpoint(pool, row, newest.note)
  return newest.note
}

/** The keys that a checkpoint carries signatures of. */
function keysIn({ keys }: LogReader, checkpoint: string): string[] {
  const { signatures } = parseNote(checkpoint)
  return keys.filter((key) => signatures.some(({ name }) => name === parseVerificationKey(key).name))
}

/** One run of one export. */
class ExportRun {
  private readonly sink: ExportSink
  private readonly read: NodeReader
  private readonly digests = new Map<FileName, Hash>()

  constructor(
    private readonly works: ExportWorks,
    private readonly row: ExportRow,
    private readonly key: DataKey,
  ) {
    this.sink = new ExportSink(row.format)
    this.read = rememberedNodes(works.log)
    for (const file of this.sink.files) this.digests.set(file, createHash('sha256'))
  }

  async run(): Promise<void> {
    const { pool } = this.works
    const checkpoint = await checkpointOf(this.works, this.row)
    const { size, origin } = parseCheckpoint(parseNote(checkpoint).text)
    const asOf = await this.asOf()
    const isWhole = Object.keys(this.row.filters).length === 0
    const from = isWhole ? Math.min(await this.works.log.minimumIndex(), size) : 0
    const indices = isWhole
      ? Float64Array.from({ length: size - from }, (_, at) => from + at)
      : await indicesOf(pool, this.row.tenant, this.row.filters, { asOf, size })
    await setTotal(pool, this.row, indices.length)
    const before = await this.resume()
    const header = await this.header({ checkpoint, origin, size, asOf, isWhole, from })
    await this.write(indices, before, header, { size, isWhole })
  }

  private async asOf(): Promise<string> {
    const { rows } = await this.works.pool.query<{ at: string }>(
      `SELECT to_char(as_of AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS at FROM exports.export WHERE id = $1`,
      [this.row.id],
    )
    return rows[0]!.at
  }

  private async header(about: {
    checkpoint: string
    origin: string
    size: number
    asOf: string
    isWhole: boolean
    from: number
  }): Promise<Header> {
    const { checkpoint, origin, size, asOf, isWhole, from } = about
    const { format, tenant, filters } = this.row
    const text = (hashes: Buffer[]) => hashes.map((hash) => hash.toString('base64'))
    const common = {
      ...{ format, origin, tenant, filters: filters as Header['filters'], exported_at: asOf, checkpoint },
      keys: keysIn(this.works.log, checkpoint),
    }
    if (!isWhole) return { ...common, complete: false, proofs: 'entries' }
    const { left, right } = await rangeProof(this.read, { from, to: size, size })
    return {
      ...common,
      complete: true,
      proofs: 'tiles',
      range: { from, to: size, left: text(left), right: text(right) },
    }
  }

  /** Takes in what earlier runs wrote; resolves to what is there. */
  private async resume(): Promise<{ parts: number; lines: number; lastIndex: number }> {
    const { pool, store } = this.works
    const before = { parts: 0, lines: 0, lastIndex: -1 }
    for (const file of this.sink.files) {
      const parts = await partsOf(pool, this.row.id, file)
      const entries = parts.reduce((sum, part) => sum + part.entries, 0)
      const isProvable = file === this.sink.provable
      for await (const bytes of store.read(this.key, this.row.id, parts)) {
        this.digests.get(file)!.update(bytes)
        if (isProvable) this.sink.continueAfter(bytes, 0)
      }
      if (isProvable) {
        this.sink.continueAfter(Buffer.alloc(0), entries)
        Object.assign(before, {
          parts: parts.length,
          lines: entries,
          lastIndex: parts.reduce((last, part) => part.lastIndex ?? last, -1),
        })
      } else this.sink.continueShown(entries)
    }
    return before
  }

  private async write(
    indices: Float64Array,
    before: { parts: number; lines: number; lastIndex: number },
    header: Header,
    { size, isWhole }: { size: number; isWhole: boolean },
  ): Promise<void> {
    const { partEntries, pool } = this.works
    let position = indices.findIndex((index) => index > before.lastIndex)
    if (position < 0) position = indices.length
    let lines = before.lines
    for (let n = before.parts; ; n++) {
      const slice = [...indices.subarray(position, position + partEntries)]
      position += slice.length
      const isLast = position >= indices.length
      const written = n === 0 ? [this.sink.head(header)] : []
      const entries = await this.entries(slice, { size, isWhole })
      for (const entry of entries) written.push(this.sink.entry(entry))
      if (isLast) written.push(this.sink.end())
      lines += entries.length
      const shown = entries.filter(({ entry }) => entry).length
      const counts = { lines: entries.length, shown, lastIndex: slice.at(-1) ?? null }
      const parts = await this.store(n, written, counts)
      await inTransaction(pool, async (client) => {
        await insertParts(client, this.row, parts, lines)
        if (isLast) await complete(client, this.row, this.sums())
      })
      if (isLast) return
    }
  }

  /** Entries with their proofs; one that was dropped since has no line of its own in a selection. */
  private async entries(
    slice: number[],
    { size, isWhole }: { size: number; isWhole: boolean },
  ): Promise<Exported[]> {
    const found = await entriesAt(this.works.pool, this.row.tenant, slice)
    if (isWhole) return found
    const proved: Exported[] = []
    for (const entry of found) {
      if (entry.body) proved.push({ ...entry, proof: await inclusionProof(this.read, entry.index, size) })
    }
    return proved
  }

  /** Encrypts a part of each file; its name holds the run, so that a run that was overtaken writes over nothing. */
  private async store(
    n: number,
    written: Written[],
    { lines, shown, lastIndex }: { lines: number; shown: number; lastIndex: number | null },
  ): Promise<Part[]> {
    const parts: Part[] = []
    for (const file of this.sink.files) {
      const bytes = Buffer.from(written.map((piece) => piece[file] ?? '').join(''), 'utf8')
      const name = `${file}-${n}-${this.row.attempt}`
      await this.works.store.write(this.key, this.row.id, { file, n, name }, bytes)
      this.digests.get(file)!.update(bytes)
      const entries = file === this.sink.provable ? lines : shown
      parts.push({ file, n, name, bytes: bytes.length, lastIndex, entries })
    }
    return parts
  }

  private sums(): Partial<Record<FileName, Buffer>> {
    return Object.fromEntries([...this.digests].map(([file, hash]) => [file, hash.digest()]))
  }
}
