import { createHash } from 'node:crypto'
import { z } from 'zod'
import { VerificationFailure } from '../failure.js'
import type { Frontier } from '../merkle/frontier.js'
import { leafHash } from '../merkle/hash.js'
import { extendTo, frontierAt } from '../merkle/range.js'
import { rootFromInclusion, verifyConsistency } from '../merkle/verify.js'
import { openCheckpoint, readKeys, type TrustedCheckpoint } from '../trust.js'
import { type ReadLine, readEntryLine } from './line.js'
import { ExportEnd, ExportHeader, ExportLine } from './schema.js'

interface VerifyExportOptions {
  /** Keys to trust: the log's, and those of witnesses that must have cosigned. Without any, the export's own are taken. */
  keys?: readonly string[]
  /** A checkpoint (signed note) that was kept earlier. */
  earlier?: string
  /** Told of the header, then of every entry in order; what it throws ends the verification. */
  reader?: { head(header: ExportHeader): void; entry(index: number, body: Buffer): void }
}

export interface VerifiedExport {
  header: ExportHeader
  checkpoint: TrustedCheckpoint
  /** Entries whose bytes were verified. */
  entries: number
  /** Places that hold only a hash: whose entries they are, or why they are not shown, nothing here proves. */
  withheld: number
}

const MAX_LINE = 1024 * 1024
const NEWLINE = 0x0a
const END = Buffer.from('{"type":"end"')

const changed = (message: string, index?: number) => new VerificationFailure('changed', message, index)
const unreadable = (message: string) => new VerificationFailure('unreadable', message)
const hash = (text: string) => Buffer.from(text, 'base64')

const Recorded = z.object({ entry: z.object({ tenant: z.string() }) })

function parse(line: Buffer): unknown {
  try {
    return JSON.parse(line.toString('utf8'))
  } catch {
    return undefined
  }
}

function tenantOf(body: Buffer): string | undefined {
  const recorded = Recorded.safeParse(parse(body))
  return recorded.success ? recorded.data.entry.tenant : undefined
}

/**
 * Verifies an export as its bytes come, in one pass and in constant memory: `write` every chunk, then `end`. Both
 * throw VerificationFailure at the first thing that is wrong.
 */
export class ExportVerifier {
  private readonly digest = createHash('sha256')
  private rest: Buffer = Buffer.alloc(0)
  private header: ExportHeader | undefined
  private checkpoint!: TrustedCheckpoint
  private earlier: TrustedCheckpoint | undefined
  /** The tree up to the newest entry, where the lines are a whole run. */
  private frontier: Frontier | undefined
  private previous: number | undefined
  private lines = 0
  private withheld = 0
  private ended = false

  constructor(private readonly options: VerifyExportOptions = {}) {}

  write(chunk: Uint8Array): void {
    const bytes =
      this.rest.length > 0
        ? Buffer.concat([this.rest, chunk])
        : Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
    let start = 0
    let digested = 0
    for (let newline = bytes.indexOf(NEWLINE); newline >= 0; newline = bytes.indexOf(NEWLINE, start)) {
      const line = bytes.subarray(start, newline)
      if (this.ended) throw changed('something was added after the end of the export')
      if (line.subarray(0, END.length).equals(END)) {
        this.digest.update(bytes.subarray(digested, start))
        digested = newline + 1
        this.readEnd(line)
      } else if (this.header) this.readEntry(line)
      else this.readHeader(line)
      start = newline + 1
    }
    if (!this.ended) this.digest.update(bytes.subarray(digested, start))
    this.rest = Buffer.from(bytes.subarray(start))
    if (this.rest.length > MAX_LINE) throw unreadable('a line is longer than an export has any')
  }

  end(): VerifiedExport {
    if (!this.header) throw unreadable('this is no export: it has no header')
    if (!this.ended || this.rest.length > 0) {
      throw changed(
        `the export is cut ${this.previous === undefined ? 'before its first entry' : `after entry ${this.previous}`}`,
      )
    }
    return {
      header: this.header,
      checkpoint: this.checkpoint,
      entries: this.lines - this.withheld,
      withheld: this.withheld,
    }
  }

  private readHeader(line: Buffer): void {
    const parsed = ExportHeader.safeParse(parse(line))
    if (!parsed.success) throw unreadable('this is no export: its first line is not a header of version 1')
    const header = parsed.data
    const trusted = this.options.keys ?? []
    const keys = readKeys(trusted.length > 0 ? trusted : header.keys)
    const everyWitness = trusted.length > 0
    this.checkpoint = openCheckpoint(header.checkpoint, keys, {
      what: 'the checkpoint of the export',
      everyWitness,
    })
    if (this.checkpoint.origin !== header.origin)
      throw changed('the header names another log than its checkpoint')
    if (this.options.earlier !== undefined) {
      this.earlier = openCheckpoint(this.options.earlier, keys, { what: 'the earlier checkpoint' })
    }
    this.header = header
    this.startRun(header)
    this.compareHistory(header)
    this.options.reader?.head(header)
  }

  /** Builds the tree left of the run. */
  private startRun({ proofs, range }: ExportHeader): void {
    if (proofs === 'entries') return
    if (!range || range.from > range.to || range.to > this.checkpoint.size)
      throw unreadable('the header gives no range within its checkpoint')
    this.frontier = frontierAt(range.from, range.left.map(hash))
    if (!this.frontier) throw changed(`the hashes left of entry ${range.from} are too many or too few`)
    this.compareAt(this.frontier)
  }

  private compareHistory({ range, consistency }: ExportHeader): void {
    const { earlier, checkpoint } = this
    if (!earlier) return
    if (earlier.origin !== checkpoint.origin)
      throw new VerificationFailure(
        'history',
        `the earlier checkpoint is one of another log, ${earlier.origin}`,
      )
    if (earlier.size > checkpoint.size) {
      throw new VerificationFailure(
        'history',
        `the export was made of a log of ${checkpoint.size} entries, the earlier checkpoint of one of ${earlier.size}: entries were removed, or the export is the older of the two`,
      )
    }
    const withinRun = range && range.from <= earlier.size && earlier.size <= range.to
    if (withinRun || earlier.size === 0) return
    const proof =
      earlier.size === checkpoint.size
        ? []
        : consistency?.from === earlier.size
          ? consistency.proof
          : undefined
    if (!proof) {
      throw new VerificationFailure(
        'history',
        `the export has no proof from the earlier checkpoint (${earlier.size} entries) to its own: verify the live log with it, or export again since that size`,
      )
    }
    const [oldSize, size] = [BigInt(earlier.size), BigInt(checkpoint.size)]
    const link = { oldSize, size, proof: proof.map(hash), oldRoot: earlier.root, root: checkpoint.root }
    if (!verifyConsistency(link)) this.failFork(earlier)
  }

  private failFork({ size }: TrustedCheckpoint): never {
    throw new VerificationFailure(
      'history',
      `the first ${size} entries are not those of the earlier checkpoint: history was rewritten`,
    )
  }

  private compareAt(frontier: Frontier): void {
    const { earlier } = this
    if (earlier && frontier.size === earlier.size && !frontier.root().equals(earlier.root))
      this.failFork(earlier)
  }

  private readEntry(line: Buffer): void {
    const read = readEntryLine(line)
    if (!read) throw this.explain(line)
    this.checkOrder(read.index)
    this.previous = read.index
    this.lines++
    if (!read.body) this.withheld++
    const leaf = read.body ? leafHash(read.body) : read.leaf!
    if (read.leaf && !read.leaf.equals(leaf))
      throw changed(`entry ${read.index} is not what was recorded`, read.index)
    if (this.frontier) {
      this.frontier.append(leaf)
      this.compareAt(this.frontier)
    } else this.checkPath(read, leaf)
    if (!read.body) return
    this.checkTenant(read.index, read.body)
    this.options.reader?.entry(read.index, read.body)
  }

  /** The header is not signed, the entry is: nobody shows one tenant's entries as another's. */
  private checkTenant(index: number, body: Buffer): void {
    const tenant = tenantOf(body)
    const claimed = this.header!.tenant
    if (tenant === claimed) return
    const whose = tenant === undefined ? 'of no tenant' : `of the tenant ${JSON.stringify(tenant)}`
    throw changed(`entry ${index} is ${whose}, but the header says ${JSON.stringify(claimed)}`, index)
  }

  private checkOrder(index: number): void {
    const { previous, header, frontier } = this
    if (index === previous) throw changed(`entry ${index} stands twice`, index)
    if (previous !== undefined && index < previous)
      throw changed(`entry ${index} stands after entry ${previous}`, index)
    const next = frontier ? frontier.size : header!.complete && previous !== undefined ? previous + 1 : index
    if (index !== next) throw changed(`entry ${next} is missing: ${index} stands in its place`, next)
    const end = header!.range?.to ?? this.checkpoint.size
    if (index >= end) throw changed(`entry ${index} is beyond the end, ${end}: it was inserted`, index)
  }

  private checkPath({ index, proof }: ReadLine, leaf: Buffer): void {
    if (!proof) throw changed(`entry ${index} has no proof`, index)
    const root = rootFromInclusion({ index: BigInt(index), size: BigInt(this.checkpoint.size), leaf, proof })
    if (!root || !this.checkpoint.root.equals(root))
      throw changed(
        `entry ${index} is not what was recorded: its proof does not lead to the signed root`,
        index,
      )
  }

  /** Why a line cannot be taken: no line of an export at all, or one whose readable part says something else. */
  private explain(line: Buffer): VerificationFailure {
    const parsed = ExportLine.safeParse(parse(line))
    if (!parsed.success) {
      const place = this.previous === undefined ? 'the header' : `entry ${this.previous}`
      return changed(`the line after ${place} is no line of an export`)
    }
    const { log_index: index } = parsed.data
    return changed(
      `entry ${index} says something else to the reader than the bytes that were recorded`,
      index,
    )
  }

  private readEnd(line: Buffer): void {
    const parsed = ExportEnd.safeParse(parse(line))
    if (!parsed.success || !this.header) throw unreadable('the end of the export is malformed')
    const { entries, sha256 } = parsed.data
    if (this.frontier) this.closeRun(this.frontier)
    if (entries !== this.lines)
      throw changed(`the export was written with ${entries} entries and has ${this.lines}`)
    if (this.digest.digest('hex') !== sha256)
      throw changed('the file is not as it was written, though every entry in it is proved')
    this.ended = true
  }

  private closeRun(frontier: Frontier): void {
    const { to, right } = this.header!.range!
    if (frontier.size !== to)
      throw changed(`entry ${frontier.size} is missing: the run goes to ${to - 1}`, frontier.size)
    const whole = extendTo(frontier, this.checkpoint.size, right.map(hash))
    if (!whole || !frontier.root().equals(this.checkpoint.root)) {
      throw changed(
        'the entries together do not make up the signed root: one was changed together with its hash. Verify the live log to learn which',
      )
    }
  }
}
