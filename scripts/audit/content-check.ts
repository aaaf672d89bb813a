import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { type ExportHeader, VerificationFailure } from '#libs/audit'
import { ExportSink } from '../../apps/compliance/src/exports/sink.js'
import { toTrailEntry } from '../../apps/compliance/src/trail/entry.js'

/** Compares a CSV or FHIR file, as its proofs are read, with what the proven entries are written as. */
export class ContentCheck {
  private readonly file: number
  private sink: ExportSink | undefined
  private at = 0

  constructor(private readonly path: string) {
    this.file = openSync(path, 'r')
  }

  head(header: ExportHeader): void {
    if (header.format === 'ndjson')
      throw new VerificationFailure(
        'unreadable',
        'an NDJSON export holds its own proofs: leave --content out',
      )
    this.sink = new ExportSink(header.format)
    this.expect(this.sink.head(header).content, 'its beginning')
  }

  entry(index: number, body: Buffer): void {
    const { recorded_at } = JSON.parse(body.toString('utf8')) as { recorded_at: string }
    const entry = toTrailEntry({ id: '', recorded_at, body, log_index: String(index) })
    const { content } = this.sink!.entry({ index, leaf: Buffer.alloc(0), body, entry })
    this.expect(content, `entry ${index}`, index)
  }

  end(): void {
    this.expect(this.sink!.end().content, 'its end')
    if (fstatSync(this.file).size !== this.at) this.fail('its end')
  }

  close(): void {
    closeSync(this.file)
  }

  private expect(text: string | undefined, what: string, index?: number): void {
    const wanted = Buffer.from(text ?? '')
    const found = Buffer.alloc(wanted.length)
    const read = readSync(this.file, found, 0, wanted.length, this.at)
    if (read !== wanted.length || !found.equals(wanted)) this.fail(what, index)
    this.at += wanted.length
  }

  private fail(what: string, index?: number): never {
    throw new VerificationFailure('changed', `${this.path} differs from its proofs at ${what}`, index)
  }
}
