import { existsSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import type pg from 'pg'
import type { Logger } from 'pino'
import {
  appendAudit,
  BrokenHistoryError,
  Cosigners,
  type NoteSigner,
  newestCheckpoint,
  PublishedFile,
  Publisher,
  readSigned,
  type SignedCheckpoint,
  startSequencer,
  type Witness,
} from '#libs/audit'
import { createPool, inTransaction, NotReady, newId } from '#libs/platform'

interface Config {
  SEQUENCER_DATABASE_URL: string
  SEQUENCE_INTERVAL_MS: number
  DATA_DIR: string
  AUDIT_CHECKPOINT_FILE?: string | undefined
  WITNESSES: Witness[]
  WITNESS_TIMEOUT_MS: number
}

/** The sequencer beside this service. */
export interface Sequencing {
  /** Throws NotReady with the reason while the log is not signed on. */
  check(): void
  stop(): Promise<void>
}

/**
 * The first entry of a log that was given a new name says which log it continues and where that one ended: what was
 * published under the old name and is no longer there has a place where it is missed.
 */
async function recordNewName(pool: pg.Pool, previous: SignedCheckpoint, origin: string): Promise<void> {
  await inTransaction(pool, async (client) => {
    const { rows } = await client.query<{ size: string }>('SELECT size FROM audit.tree_state')
    const treeSize = Number(rows[0]!.size)
    await appendAudit(client, {
      tenant: 'default',
      service: 'compliance',
      actor: { type: 'system', id: 'compliance' },
      action: 'AUDIT_LOG_RENAMED',
      outcome: 'success',
      correlationId: newId(),
      details: {
        origin,
        previous_origin: previous.origin,
        previous_checkpoint: previous.note,
        tree_size: treeSize,
        entries_missing: Math.max(0, previous.size - treeSize),
      },
    })
  })
}

/** The published checkpoint of this log; that of a log of another name is put aside, and the change recorded. */
async function openPublished(
  path: string,
  pool: pg.Pool,
  origin: string,
  logger: Logger,
): Promise<PublishedFile> {
  const published = new PublishedFile(path)
  const note = published.read()?.note ?? (await newestCheckpoint(pool))
  const previous = note === undefined ? undefined : readSigned(note)
  if (!previous || previous.origin === origin) return published
  await recordNewName(pool, previous, origin)
  logger.warn({ origin, previous: previous.origin, size: previous.size }, 'the audit log has a new name')
  if (existsSync(path)) renameSync(path, `${path}.${previous.origin.replaceAll('/', '_')}.${previous.size}`)
  return new PublishedFile(path)
}

/** Starts the sequencer of the log that `signer` signs; `pool` is the service's own, to record a new name with. */
export async function startSequencing(
  config: Config,
  signer: NoteSigner,
  pool: pg.Pool,
  logger: Logger,
): Promise<Sequencing> {
  const path = config.AUDIT_CHECKPOINT_FILE ?? join(config.DATA_DIR, 'audit-checkpoint')
  const published = await openPublished(path, pool, signer.name, logger)
  const own = createPool(config.SEQUENCER_DATABASE_URL, {
    applicationName: 'vigil-sequencer',
    max: 2,
    logger,
  })
  const cosigners = new Cosigners({
    witnesses: config.WITNESSES,
    timeoutMs: config.WITNESS_TIMEOUT_MS,
    onConflict: (message) => logger.error(message),
  })
  let broken: BrokenHistoryError | undefined
  const sequencer = startSequencer({
    pool: own,
    publisher: new Publisher({ pool: own, signer, published, cosigners }),
    intervalMs: config.SEQUENCE_INTERVAL_MS,
    onState: (error) => {
      const before = broken?.message
      broken = error instanceof BrokenHistoryError ? error : undefined
      if (broken && broken.message !== before) logger.error({ published: path }, broken.message)
      else if (error !== undefined && !broken) logger.error({ err: error }, 'sequencing failed: trying again')
    },
  })
  return {
    check: () => {
      if (broken) throw new NotReady(broken.message)
    },
    stop: async () => {
      await sequencer.stop()
      await own.end()
    },
  }
}
