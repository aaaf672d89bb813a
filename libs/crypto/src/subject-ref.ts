import type { BlindIndex, Indexed } from './blind-index.js'
import type { Queryable } from './root-secret.js'

/**
 * The keyed hash that a person is known by: the one in use under any live version of the index, else that of the
 * version that writes. So a person has one hash for good, and whatever is stored under it stays found.
 */
export async function subjectRef(database: Queryable, index: BlindIndex, indexed: Indexed): Promise<string> {
  const candidates = index.candidates(indexed)
  if (candidates.length === 1) return candidates[0]
  const { rows } = await database.query<{ known: string | null }>(
    'SELECT keys.known_subject($1, $2) AS known',
    [indexed.tenant, candidates],
  )
  return rows[0]?.known ?? candidates[0]
}
