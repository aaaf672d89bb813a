import { randomBytes } from 'node:crypto'
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { migrate } from '../../../migrations/run.js'
import { startEmbeddedPostgres } from '../../embedded/postgres.js'

const ROLES = ['vigil_fraud', 'vigil_imaging', 'vigil_compliance', 'vigil_sequencer'] as const
type Role = (typeof ROLES)[number]

/** A fresh PostgreSQL with every migration, for one benchmark. */
export interface BenchServer {
  adminUrl: string
  url(role: Role): string
  stop(): Promise<void>
}

export async function startBenchServer(): Promise<BenchServer> {
  const dataDir = mkdtempSync(join(tmpdir(), 'vigil-bench-'))
  chmodSync(dataDir, 0o711)
  const postgres = await startEmbeddedPostgres({ dataDir, port: 0, log: () => undefined })
  const password = randomBytes(16).toString('hex')
  await migrate(postgres.adminUrl, Object.fromEntries(ROLES.map((role) => [role, password])))
  return {
    adminUrl: postgres.adminUrl,
    url: (role) => {
      const url = new URL(postgres.adminUrl)
      url.username = role
      url.password = password
      return url.href
    },
    stop: async () => {
      // The server's process does not keep ours alive while we wait for its end.
      const waiting = setInterval(() => undefined, 1_000)
      await postgres.stop('immediate')
      clearInterval(waiting)
      rmSync(dataDir, { recursive: true, force: true })
    },
  }
}
