import { spawnSync } from 'node:child_process'
import { join, resolve } from 'node:path'

const root = resolve(import.meta.dirname, '../..')
const bin = (name: string) => join(root, 'node_modules', '.bin', name)

/** Format, lint, types, and who may import whom; the first three lines of each say what failed. */
const CHECKS: readonly [name: string, command: string, ...args: string[]][] = [
  ['format and lint', bin('biome'), 'ci', '.'],
  ['types', bin('tsc'), '--noEmit', '-p', 'tsconfig.json'],
  [
    'rules of the house',
    bin('depcruise'),
    '--config',
    '.dependency-cruiser.cjs',
    'apps',
    'libs',
    'migrations',
    'scripts',
    'test',
  ],
]

let failed = false
for (const [name, command, ...args] of CHECKS) {
  console.log(`\n${name}`)
  const { status } = spawnSync(command, args, { cwd: root, stdio: 'inherit' })
  if (status !== 0) {
    failed = true
    console.error(`${name}: failed`)
  }
}
process.exitCode = failed ? 1 : 0
