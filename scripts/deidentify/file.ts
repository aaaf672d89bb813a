import {
  closeSync,
  fstatSync,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writevSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { deidentifyInstance, type Outcome } from '../../apps/imaging/src/deidentify/deidentify.js'
import { type Bytes, RangedBytes } from '../../apps/imaging/src/deidentify/dicom/bytes.js'
import { DicomError } from '../../apps/imaging/src/deidentify/dicom/error.js'
import { parseInstance } from '../../apps/imaging/src/deidentify/dicom/parse.js'
import type { BurnedIn, Order } from '../../apps/imaging/src/deidentify/order.js'
import type { QuarantineReason } from '../../apps/imaging/src/deidentify/quarantine.js'
import type { ReportLine } from '../../apps/imaging/src/deidentify/report.js'
import type { TextFinder } from '../../apps/imaging/src/pixels/clean.js'
import { findInPixels } from '../../apps/imaging/src/pixels/finding.js'
import { DEFAULT_PIXEL_POLICY, pixelAction } from '../../apps/imaging/src/pixels/policy.js'

/** What became of one file. */
export type FileRecord =
  | { outcome: 'clean'; output: string; burned_in: BurnedIn; name_tells?: true; actions: ReportLine[] }
  | { outcome: 'quarantined'; reason: QuarantineReason; path?: string }
  | { outcome: 'rejected'; code: string; offset: number; path: string }
  | { outcome: 'failed'; code: string }

/** One file to do: where it is, and its name below the output folder. */
export interface FileTask {
  input: string
  name: string
}

/** How output files are named: as the input, or by their new UID; `since` is when the run began. */
export type Naming = { kind: 'keep' } | { kind: 'uid'; since: number }

/** Names a file after its UID; of two files of one UID in the same run neither is lost. */
function freeName(output: string, uid: string, since: number): string {
  for (let copy = 1; ; copy++) {
    const name = copy === 1 ? `${uid}.dcm` : `${uid}-${copy}.dcm`
    const there = [name, `${name}.part`].map((path) =>
      statSync(join(output, path), { throwIfNoEntry: false }),
    )
    if (there.some((file) => file && file.mtimeMs >= since)) continue
    try {
      rmSync(join(output, `${name}.part`), { force: true })
      closeSync(openSync(join(output, `${name}.part`), 'wx'))
      return name
    } catch (error) {
      // Another thread was quicker.
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
  }
}

/** Files up to this size are read in one go, longer ones piece by piece. */
const WHOLE = 8 * 1024 * 1024
const MOST_PARTS = 512

let scratch = Buffer.alloc(0)
let lastFolder = ''

function makeFolder(path: string): void {
  if (path === lastFolder) return
  mkdirSync(path, { recursive: true })
  lastFolder = path
}

function readRange(file: number, start: number, into: Buffer): Buffer {
  let length = 0
  while (length < into.length) {
    const read = readSync(file, into, length, into.length - length, start + length)
    if (read === 0) throw new DicomError('truncated', start + length)
    length += read
  }
  return into
}

/** A file's bytes: in a buffer that the next file uses again, or range by range. */
function bytesOf(file: number, size: number): Bytes {
  if (size > WHOLE)
    return new RangedBytes(size, (start, end) => readRange(file, start, Buffer.allocUnsafeSlow(end - start)))
  if (scratch.length < size) scratch = Buffer.allocUnsafeSlow(Math.min(WHOLE, Math.max(size, 1024 * 1024)))
  return readRange(file, 0, scratch.subarray(0, size))
}

function write(path: string, chunks: Iterable<Buffer>): void {
  const draft = `${path}.part`
  const file = openSync(draft, 'w', 0o640)
  try {
    let pending: Buffer[] = []
    let length = 0
    const flush = () => {
      let parts = pending
      while (parts.length > 0) parts = rest(parts, writevSync(file, parts))
      pending = []
      length = 0
    }
    for (const chunk of chunks) {
      pending.push(chunk)
      length += chunk.length
      if (length >= WHOLE || pending.length === MOST_PARTS) flush()
    }
    flush()
    closeSync(file)
    renameSync(draft, path)
  } catch (error) {
    rmSync(draft, { force: true })
    throw error
  }
}

/** What a write left over. */
function rest(parts: Buffer[], written: number): Buffer[] {
  for (const [at, part] of parts.entries()) {
    if (written < part.length) return [part.subarray(written), ...parts.slice(at + 1)]
    written -= part.length
  }
  return []
}

/** Largest file whose pixels are looked at; what may hold text in larger ones stays unchecked. */
const MOST_LOOKED_AT = 256 * 1024 * 1024

/** Finds text in pixels; made by the first file that has to be looked at. Absent where the profile looks at none. */
export type Look = (() => Promise<TextFinder>) | undefined

async function deidentifyOpen(file: number, order: Order, look: Look): Promise<Outcome> {
  const { size } = fstatSync(file)
  const source = parseInstance<Bytes>(bytesOf(file, size), order.limits)
  const seen = look && size <= MOST_LOOKED_AT && pixelAction(source, DEFAULT_PIXEL_POLICY) !== 'trust'
  if (!seen) return deidentifyInstance(source, order)
  // A buffer of its own: looking takes a while, and the next file would overwrite the shared one.
  const whole = parseInstance(readRange(file, 0, Buffer.allocUnsafeSlow(size)), order.limits)
  return deidentifyInstance(whole, order, await findInPixels(whole, await look()))
}

/** De-identifies one file into the output folder; its input is only read. Never throws for what is in the file. */
export async function deidentifyFile(
  { input, name }: FileTask,
  output: string,
  order: Order,
  naming: Naming,
  look: Look,
): Promise<FileRecord> {
  let file: number
  try {
    file = openSync(input, 'r')
  } catch (error) {
    return { outcome: 'failed', code: (error as NodeJS.ErrnoException).code ?? 'unreadable' }
  }
  try {
    const outcome = await deidentifyOpen(file, order, look)
    if (outcome.kind === 'quarantined')
      return {
        outcome: 'quarantined',
        reason: outcome.reason,
        ...(outcome.path ? { path: outcome.path } : {}),
      }
    const target = naming.kind === 'keep' ? name : freeName(output, outcome.sopInstanceUid, naming.since)
    makeFolder(dirname(join(output, target)))
    write(join(output, target), outcome.file.chunks())
    // A folder of scans is often named after the patient.
    const tells = naming.kind === 'keep' && outcome.tellsOf(name)
    return {
      outcome: 'clean',
      output: target,
      burned_in: outcome.burnedIn,
      ...(tells ? { name_tells: true as const } : {}),
      actions: outcome.report,
    }
  } catch (error) {
    if (error instanceof DicomError)
      return { outcome: 'rejected', code: error.code, offset: error.offset, path: error.path }
    return { outcome: 'failed', code: (error as NodeJS.ErrnoException).code ?? 'internal_error' }
  } finally {
    closeSync(file)
  }
}
