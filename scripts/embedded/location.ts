import { randomBytes } from 'node:crypto'
import { chmodSync, chownSync, existsSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Account, canReach, canRun } from './account.js'
import { copyOfBinaries, packagedBinaries } from './binaries.js'
import { writeSecret } from './secret.js'

/** Where the binaries and the cluster of the embedded PostgreSQL lie. */
export interface Location {
  bin: string
  data: string
}

const OUTSIDE = '/var/lib/vigil'

/** A folder that others may pass through, whatever the umask of who started us. */
function openFolder(path: string): string {
  if (existsSync(path)) return path
  mkdirSync(path, { recursive: true })
  chmodSync(path, 0o755)
  return path
}

/** A folder that only the account can enter. */
function ownFolder(path: string, account: Account | undefined): string {
  mkdirSync(path, { recursive: true, mode: 0o700 })
  if (account) chownSync(path, account.uid, account.gid)
  return path
}

/**
 * A clone below root's home (mode 0700) is out of reach of the account that PostgreSQL runs as. Then the
 * cluster lives in a folder of its own under /var/lib/vigil, named by a random id that DATA_DIR remembers.
 */
function homeOutside(dataDir: string): string {
  const note = join(dataDir, 'postgres-location')
  if (!existsSync(note)) writeSecret(note, join(OUTSIDE, randomBytes(8).toString('hex')))
  openFolder(OUTSIDE)
  return openFolder(readFileSync(note, 'utf8').trim())
}

function homeOfCluster(dataDir: string, account: Account | undefined, log: (line: string) => void): string {
  if (canReach(dataDir, account)) return dataDir
  const home = homeOutside(dataDir)
  log(`PostgreSQL cannot enter ${dataDir} as another user: its cluster lives in ${home}`)
  return home
}

/** Finds or makes the place of the binaries and of the cluster, both within reach of the account. */
export function locate(dataDir: string, account: Account | undefined, log: (line: string) => void): Location {
  const packaged = packagedBinaries()
  const home = homeOfCluster(dataDir, account, log)
  const data = join(ownFolder(join(home, 'postgres'), account), 'data')
  if (canRun(join(packaged.native, 'bin', 'postgres'), account))
    return { bin: join(packaged.native, 'bin'), data }
  return { bin: join(copyOfBinaries(packaged, openFolder(OUTSIDE)), 'bin'), data }
}
