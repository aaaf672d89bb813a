import type { FileRecord } from './file.js'

const REASONS: Record<string, string> = {
  burned_in_text_possible: 'text may be burned into the pixels, and nobody looked',
  encapsulated_document: 'a document is inside',
  identifier_left: 'an identifier is left where it cannot be taken out',
  directory: 'a DICOMDIR names patients and files; make a new one of the clean files',
  recognizable_visual_features: 'a face can be recognised',
  undecodable_pixels: 'the pixels cannot be looked at',
}

/** What was done, for people: counts, then every file that was held back, with the reason. */
export function summarize(records: ReadonlyMap<string, FileRecord>, most = 20): string {
  const all = [...records]
  const count = (outcome: FileRecord['outcome']) =>
    all.filter(([, record]) => record.outcome === outcome).length
  const lines = [
    `${count('clean')} clean, ${count('quarantined')} quarantined, ${count('rejected')} refused, ${count('failed')} failed`,
  ]
  const held = all.filter(([, record]) => record.outcome !== 'clean')
  for (const [name, record] of held.slice(0, most)) lines.push(`  ${name}: ${why(record)}`)
  const telling = all.filter(([, record]) => record.outcome === 'clean' && record.name_tells).length
  if (telling > 0)
    lines.push(
      `  ${telling} file names tell of a patient: "file_names": "uid" in the profile gives them others`,
    )
  if (held.length > most) lines.push(`  and ${held.length - most} more: see the report`)
  return lines.join('\n')
}

function why(record: FileRecord): string {
  if (record.outcome === 'quarantined') {
    const place = record.path ? ` (${record.path})` : ''
    return `${REASONS[record.reason] ?? record.reason}${place}`
  }
  if (record.outcome === 'rejected')
    return `no DICOM that can be read: ${record.code} at byte ${record.offset}${record.path ? ` in ${record.path}` : ''}`
  return record.outcome === 'failed' ? `failed: ${record.code}` : ''
}
