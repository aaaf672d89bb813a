import { join, resolve } from 'node:path'
import { cosignatureKey, signerFrom, verificationKey } from '#libs/audit'
import { witnessKey } from '../../apps/compliance/src/witness/state.js'
import { freePort } from '../embedded/port.js'
import { type Child, keepRunning, untilReady } from './child.js'

interface Options {
  dataDir: string
  env: NodeJS.ProcessEnv
  host: string
  /** URL of a port of this machine. */
  urlOf: (port: number) => string
  log: (line: string) => void
}

/** The witness of the embedded default: a process of its own, with its own key and state, and no way to the database. */
export interface SupervisedWitness {
  child: Child
  /** What the log needs to know of it: `URL VKEY`. */
  address: string
  ready(): Promise<void>
}

const PORT = 3010
const PASSED_ON = ['PATH', 'LOG_LEVEL', 'NODE_EXTRA_CA_CERTS', 'NODE_ENV'] as const
const isPassedOn = (name: string) => /^(TLS|WITNESS)_/.test(name) || PASSED_ON.some((known) => known === name)

/** Starts it; the keys of both sides are made here, because each must know the other's before it starts. */
export async function superviseWitness({
  dataDir,
  env,
  host,
  urlOf,
  log,
}: Options): Promise<SupervisedWitness> {
  const folder = env.WITNESS_DIR ?? join(dataDir, 'witness')
  const origin = env.AUDIT_ORIGIN || 'vigil.invalid/audit'
  const name = env.WITNESS_NAME || 'vigil.invalid/witness'
  const logSigner = signerFrom(join(dataDir, 'secrets', 'audit-log-key'), origin)
  const witness = witnessKey(folder, name)
  const wanted = Number(env.WITNESS_PORT ?? PORT)
  const port = await freePort(wanted, host)
  if (port !== wanted && wanted !== 0) log(`port ${wanted} is taken: the witness listens on ${port}`)
  const logFile = join(dataDir, 'logs', 'witness.log')
  const child = keepRunning({
    name: 'witness',
    script: resolve(import.meta.dirname, '../../apps/compliance/src/witness/main.js'),
    logFile,
    log,
    // Nothing of the database, the keyring or other secrets of the environment.
    env: {
      ...Object.fromEntries(Object.entries(env).filter(([key]) => isPassedOn(key))),
      HOST: host,
      PORT: String(port),
      WITNESS_DIR: folder,
      WITNESS_NAME: name,
      WITNESS_LOGS: verificationKey(logSigner),
    },
  })
  return {
    child,
    address: `${urlOf(port)} ${cosignatureKey(witness)}`,
    ready: () => untilReady('witness', urlOf(port), logFile),
  }
}
