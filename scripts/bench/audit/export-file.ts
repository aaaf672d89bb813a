import { closeSync, openSync, writeSync } from 'node:fs'
import {
  checkpointText,
  ExportWriter,
  Frontier,
  leafHash,
  noteSigner,
  signNote,
  verificationKey,
} from '#libs/audit'

const signer = noteSigner('bench.invalid/log', Buffer.alloc(32, 1))

/** A body as the fraud service writes it, about 400 bytes. */
const bodyOf = (at: number) =>
  Buffer.from(
    `{"entry":{"action":"TRANSACTION_DECIDED","actor":{"id":"payments","type":"client"},"correlation_id":"00000000-0000-4000-8000-${String(at).padStart(12, '0')}",` +
      `"details":{"amount_minor":12990,"currency":"EUR","decision":"approve","model":"fraud-gbdt/v1","policy":"1","score":0.0421337},` +
      `"id":"00000000-0000-7000-8000-${String(at).padStart(12, '0')}","outcome":"success","service":"fraud","subject":{"id":"tx-${at}","type":"transaction"},` +
      `"tenant":"default"},"recorded_at":"2026-01-01T00:00:00.000000Z"}`,
  )

/** Writes an export of a whole log of so many entries, with what a reader reads and what the verifier needs; its key. */
export function writeExport(path: string, entries: number): string {
  const tree = new Frontier()
  for (let at = 0; at < entries; at++) tree.append(leafHash(bodyOf(at)))
  const text = checkpointText({ origin: signer.name, size: entries, root: tree.root() })
  const writer = new ExportWriter()
  const file = openSync(path, 'w')
  const keys = [verificationKey(signer)]
  writeSync(
    file,
    writer.header({
      ...{ format: 'ndjson', origin: signer.name, tenant: 'default', filters: {}, keys, complete: true },
      exported_at: '2026-01-02T00:00:00Z',
      checkpoint: signNote(signer, text),
      proofs: 'tiles',
      range: { from: 0, to: entries, left: [], right: [] },
    }),
  )
  for (let at = 0; at < entries; ) {
    const lines: string[] = []
    for (const end = Math.min(at + 1000, entries); at < end; at++) {
      const body = bodyOf(at)
      lines.push(writer.entry({ index: at, body, leaf: leafHash(body) }))
    }
    writeSync(file, lines.join(''))
  }
  writeSync(file, writer.end())
  closeSync(file)
  return keys[0]!
}
