import type pg from 'pg'
import { sequenceBatch } from '#libs/audit'

/** Places everything that waits; entries and seconds. Nothing else runs meanwhile. */
export async function drain(pool: pg.Pool): Promise<{ entries: number; seconds: number }> {
  const start = performance.now()
  let entries = 0
  for (let placed = await sequenceBatch(pool); placed > 0; placed = await sequenceBatch(pool))
    entries += placed
  return { entries, seconds: (performance.now() - start) / 1000 }
}
