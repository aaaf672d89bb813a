import type { ClientBase, Pool } from 'pg'
import { inTransaction, isUuid, newId } from '#libs/platform'
import type { JobData } from './backend.js'

/** A job that is committed but not yet in the queue. */
export interface WaitingJob {
  id: string
  data: JobData
}

/** A table of jobs that wait to be handed to the queue: `id, queue, subject, traceparent, created_at`. */
export class Outbox {
  constructor(
    private readonly pool: Pool,
    /** Schema-qualified name, from code, never from input. */
    private readonly table: string,
    private readonly queue: string,
  ) {}

  /** Adds a job in the caller's open transaction and returns the job's id. */
  async add(client: ClientBase, { subject, traceparent }: JobData): Promise<string> {
    if (!isUuid(subject)) throw new Error('A job names its subject by UUID and carries nothing else')
    const id = newId()
    await client.query(
      `INSERT INTO ${this.table} (id, queue, subject, traceparent) VALUES ($1, $2, $3, $4)`,
      [id, this.queue, subject, traceparent ?? null],
    )
    return id
  }

  /**
   * Hands over up to `limit` committed jobs and forgets them once `deliver` resolved; jobs that another relay
   * holds are skipped. A crash in between delivers them again, under the same ids. Returns how many.
   */
  async relay(deliver: (jobs: WaitingJob[]) => Promise<unknown>, limit = 200): Promise<number> {
    return inTransaction(this.pool, async (client) => {
      const { rows } = await client.query<{ id: string; subject: string; traceparent: string | null }>(
        `SELECT id, subject, traceparent FROM ${this.table} WHERE queue = $1
         ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED`,
        [this.queue, limit],
      )
      if (rows.length === 0) return 0
      await deliver(
        rows.map(({ id, subject, traceparent }) => ({
          id,
          data: { subject, ...(traceparent ? { traceparent } : {}) },
        })),
      )
      await client.query(`DELETE FROM ${this.table} WHERE id = ANY($1)`, [rows.map((row) => row.id)])
      return rows.length
    })
  }

  async holds(id: string): Promise<boolean> {
    const { rowCount } = await this.pool.query(`SELECT 1 FROM ${this.table} WHERE id = $1`, [id])
    return rowCount === 1
  }

  async depth(): Promise<number> {
    const { rows } = await this.pool.query<{ count: string }>(
      `SELECT count(*) FROM ${this.table} WHERE queue = $1`,
      [this.queue],
    )
    return Number(rows[0]?.count ?? 0)
  }
}
