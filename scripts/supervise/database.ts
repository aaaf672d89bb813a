import { setTimeout as sleep } from 'node:timers/promises'
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../embedded/postgres.js'

interface Options {
  dataDir: string
  port?: number
  log: (line: string) => void
}

/** The embedded PostgreSQL, started again when it dies unasked: at the same address, which the services hold. */
export interface KeptDatabase {
  adminUrl: string
  pid(): number
  stop(): Promise<void>
}

/** Starts the embedded PostgreSQL and keeps it up: restarts at once, then with pauses doubling to 10 s. */
export async function keepDatabase(options: Options): Promise<KeptDatabase> {
  let postgres = await startEmbeddedPostgres(options)
  const { adminUrl, port } = postgres
  const stopping = new AbortController()
  let restart: Promise<void> = Promise.resolve()

  const attempt = async (): Promise<EmbeddedPostgres | undefined> => {
    const again = await startEmbeddedPostgres({ ...options, port }).catch((error: Error) => {
      options.log(error.message)
      return undefined
    })
    if (!again || again.port === port) return again
    await again.stop()
    return undefined
  }
  const revive = async () => {
    options.log('PostgreSQL ended: starting it again')
    for (let delay = 500; !stopping.signal.aborted; delay = Math.min(delay * 2, 10_000)) {
      const again = await attempt()
      if (again) {
        postgres = again
        watch()
        return
      }
      await sleep(delay, undefined, { signal: stopping.signal }).catch(() => undefined)
    }
  }
  const watch = () => {
    void postgres.exited.then(() => {
      if (!stopping.signal.aborted) restart = revive()
    })
  }
  watch()
  const stop = async () => {
    stopping.abort()
    await restart
    await postgres.stop()
  }
  return { adminUrl, pid: () => postgres.pid, stop }
}
