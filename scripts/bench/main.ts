import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'

const BENCHES = ['fraud', 'audit', 'crypto', 'auth', 'imaging']

/** Every benchmark there is, one after the other: each is a process of its own. */
let failed = false
for (const name of BENCHES) {
  const script = [join(name, 'main.js'), `${name}.js`]
    .map((file) => join(import.meta.dirname, file))
    .find((file) => existsSync(file))
  if (!script) continue
  console.error(`\nbench:${name}`)
  const { status } = spawnSync(process.execPath, ['--enable-source-maps', script], {
    stdio: 'inherit',
  })
  failed ||= status !== 0
}
process.exitCode = failed ? 1 : 0
