import { isWitnessKey, readKeys, type VerifiedExport } from '#libs/audit'

/** Who vouched for a checkpoint; `keys` are those that were given, none where the log's own were taken. */
export function cosignedBy(witnesses: readonly string[], keys: readonly string[]): string {
  if (witnesses.length > 0) return `cosigned by ${witnesses.join(', ')}`
  const couldTell = keys.length === 0 || readKeys(keys).some(isWitnessKey)
  return couldTell ? 'cosigned by nobody' : 'no witness key was given'
}

const WITHHELD = "other tenants', pruned or left out by whoever wrote the file"

function shown({ entries, withheld }: VerifiedExport): string {
  return `${entries} entries shown${withheld > 0 ? `, ${withheld} known by their hash alone (${WITHHELD})` : ''}`
}

function extent({ header, withheld }: VerifiedExport): string {
  if (!header.complete) return 'a selection: each is proved, what was not selected is not shown'
  return withheld > 0
    ? 'an unbroken run of hashes; what stands behind those known by their hash alone is not shown'
    : 'complete: nothing between them was left out'
}

/** What a verified export proves, and what it only says of itself. */
export function toldExport(verified: VerifiedExport, keys: readonly string[]): string {
  const { header, checkpoint } = verified
  const witnesses = checkpoint.cosignatures.map(({ witness }) => witness)
  const { tenant, filters, exported_at } = header
  return [
    `verified: ${shown(verified)}, of ${checkpoint.origin} (${checkpoint.size} entries), ${cosignedBy(witnesses, keys)}`,
    extent(verified),
    `claimed by the file, not signed: ${JSON.stringify({ tenant, filters, exported_at })}`,
  ].join('\n')
}
