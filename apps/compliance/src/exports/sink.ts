import { type ExportHeader, ExportWriter } from '#libs/audit'
import { toAuditEvent } from '../fhir/audit-event.js'
import type { TrailEntry } from '../trail/entry.js'
import { csvHeader, csvRecord } from './csv.js'
import type { ExportFormat, FileName } from './export.js'

/** An entry on its way into an export: `entry` and `body` are missing where it may not be shown. */
export interface Exported {
  index: number
  leaf: Buffer
  body?: Buffer
  entry?: TrailEntry
  proof?: Buffer[]
}

export type Header = Omit<ExportHeader, 'type' | 'version'>

/** What is written to each file. */
export type Written = Partial<Record<FileName, string>>

/** How a format writes what it is given, in log order, between a head and an end. */
interface Format {
  head(header: Header): string
  entry(entry: TrailEntry, isFirst: boolean): string
  end(): string
}

const FORMATS: Record<Exclude<ExportFormat, 'ndjson'>, Format> = {
  csv: { head: csvHeader, entry: csvRecord, end: () => '' },
  fhir: {
    head: ({ exported_at }) =>
      `{"resourceType":"Bundle","type":"collection","timestamp":${JSON.stringify(exported_at)},"entry":[`,
    entry: (entry, isFirst) =>
      `${isFirst ? '\n' : ',\n'}${JSON.stringify({ fullUrl: `urn:uuid:${entry.id}`, resource: toAuditEvent(entry) })}`,
    end: () => '\n]}\n',
  },
}

/** Writes an export: the provable file, and beside it the CSV or FHIR file where that was asked for. */
export class ExportSink {
  private readonly writer = new ExportWriter()
  private readonly format: Format | undefined
  private shown = 0

  constructor(format: ExportFormat) {
    this.format = format === 'ndjson' ? undefined : FORMATS[format]
  }

  /** The file that holds the proofs: the only one, or the one beside the content. */
  get provable(): FileName {
    return this.format ? 'proofs' : 'content'
  }

  get files(): FileName[] {
    return this.format ? ['content', 'proofs'] : ['content']
  }

  /** Takes up where an earlier run ended: after bytes of the provable file with so many lines of entries in them. */
  continueAfter(bytes: Uint8Array, lines: number): void {
    this.writer.continueAfter(bytes, lines)
  }

  /** Entries that the content file holds so far. */
  continueShown(entries: number): void {
    this.shown += entries
  }

  head(header: Header): Written {
    return this.written(this.writer.header(header), this.format?.head(header))
  }

  entry({ index, leaf, body, entry, proof }: Exported): Written {
    const line = this.writer.entry(
      { index, ...(body ? { body } : { leaf }), ...(proof ? { proof } : {}) },
      { readable: !this.format },
    )
    if (!entry) return this.written(line, this.format && '')
    const isFirst = this.shown++ === 0
    return this.written(line, this.format?.entry(entry, isFirst))
  }

  end(): Written {
    return this.written(this.writer.end(), this.format?.end())
  }

  private written(line: string, content: string | undefined): Written {
    return content === undefined ? { content: line } : { content, proofs: line }
  }
}
