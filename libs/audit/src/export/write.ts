import { createHash } from 'node:crypto'
import { entryLine, type WrittenEntry } from './line.js'
import type { ExportHeader } from './schema.js'

/** Writes an export line by line: header, entries in log order, end. Keeps nothing but a running digest. */
export class ExportWriter {
  private readonly digest = createHash('sha256')
  private entries = 0

  header(header: Omit<ExportHeader, 'type' | 'version'>): string {
    return this.line(JSON.stringify({ type: 'vigil-audit-export', version: 1, ...header }))
  }

  /** With `readable: false` (proofs beside a CSV or FHIR file) the entry is not repeated as JSON. */
  entry(entry: WrittenEntry, { readable = true } = {}): string {
    this.entries++
    return this.line(entryLine(entry, readable))
  }

  /** Takes up again after lines that another writer wrote, `entries` of them entries. */
  continueAfter(written: Uint8Array, entries: number): void {
    this.digest.update(written)
    this.entries += entries
  }

  end(): string {
    return `${JSON.stringify({ type: 'end', entries: this.entries, sha256: this.digest.digest('hex') })}\n`
  }

  private line(text: string): string {
    const line = `${text}\n`
    this.digest.update(line)
    return line
  }
}
