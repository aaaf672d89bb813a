import { chmodSync, existsSync, mkdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import pg from 'pg'
import { seedIdentities } from '../../apps/compliance/src/identity/seed.js'
import { type RetentionPeriods, retentionFrom, setRetention } from '../../migrations/retention.js'
import { migrate } from '../../migrations/run.js'
import { freePort } from '../embedded/port.js'
import { writeSecret } from '../embedded/secret.js'
import { type Child, keepRunning, untilReady } from './child.js'
import { keepDatabase } from './database.js'
import { lockDataDir } from './lock.js'
import { type Credentials, credentialsIn, type RolePasswords, rolePasswordsIn } from './secrets.js'
import { superviseWitness } from './witness.js'

const SERVICES = ['compliance', 'fraud', 'imaging'] as const
export type ServiceName = (typeof SERVICES)[number]

const PORTS: Record<ServiceName, number> = { compliance: 3000, fraud: 3001, imaging: 3002 }

/** A Vigil whose terminal was killed needs a moment to notice and to stop. */
const PATIENCE_MS = 4_000

interface Options {
  dataDir: string
  env: NodeJS.ProcessEnv
  log: (line: string) => void
}

/** The services, up and ready. */
export interface Vigil {
  urls: Record<ServiceName, string>
  credentials: Credentials
  /** Administrator's URL of the database: for tools, never for the services. */
  adminUrl: string
  pid(service: ServiceName): number | undefined
  /** Drains the services, then stops the database; within 10 s. */
  stop(): Promise<void>
}

/** How this machine reaches what listens on `host`. */
function reachable(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1'
  if (host === '::') return '[::1]'
  return host.includes(':') ? `[${host}]` : host
}

/** The same database, logged in as a service role. */
function urlFor(adminUrl: string, role: keyof RolePasswords, passwords: RolePasswords): string {
  const url = new URL(adminUrl)
  url.username = role
  url.password = passwords[role]
  return url.href
}

async function choosePorts({ env, log }: Options, host: string): Promise<Record<ServiceName, number>> {
  const chosen = { ...PORTS }
  for (const name of SERVICES) {
    const wanted = Number(env[`${name.toUpperCase()}_PORT`] ?? PORTS[name])
    chosen[name] = await freePort(wanted, host)
    if (chosen[name] !== wanted && wanted !== 0)
      log(`port ${wanted} is taken: ${name} listens on ${chosen[name]}`)
  }
  return chosen
}

async function prepareDatabase(
  adminUrl: string,
  passwords: RolePasswords,
  credentials: Credentials,
  periods: RetentionPeriods,
): Promise<void> {
  await migrate(adminUrl, passwords)
  const client = new pg.Client({ connectionString: adminUrl })
  await client.connect()
  try {
    await seedIdentities(client, credentials)
    await setRetention(client, periods)
  } finally {
    await client.end()
  }
}

/** The services ask each other for keys: a certificate that signs itself, or whose file holds its authority, is trusted. */
const trustInEachOther = ({ TLS_CERT, NODE_EXTRA_CA_CERTS = TLS_CERT }: NodeJS.ProcessEnv) =>
  NODE_EXTRA_CA_CERTS ? { NODE_EXTRA_CA_CERTS } : {}

const witnesses = (witness: { address: string } | undefined) =>
  witness ? { WITNESSES: witness.address } : {}

async function startServices(options: Options, adminUrl: string, passwords: RolePasswords) {
  const { dataDir, env, log } = options
  const host = env.HOST ?? '127.0.0.1'
  const ports = await choosePorts(options, host)
  const scheme = env.TLS_CERT ? 'https' : 'http'
  const urlOf = (port: number) => `${scheme}://${reachable(host)}:${port}`
  const url = (name: ServiceName) => urlOf(ports[name])
  const issuer = env.ISSUER ?? url('compliance')
  const logFile = (name: ServiceName) => join(dataDir, 'logs', `${name}.log`)
  // Whoever names witnesses elsewhere (or none) needs none of ours.
  const witness =
    env.WITNESSES === undefined ? await superviseWitness({ dataDir, env, host, urlOf, log }) : undefined
  const children: Child[] = SERVICES.map((name) =>
    keepRunning({
      name,
      script: resolve(import.meta.dirname, `../../apps/${name}/src/main.js`),
      logFile: logFile(name),
      log,
      env: {
        ...env,
        HOST: host,
        PORT: String(ports[name]),
        DATA_DIR: dataDir,
        DATABASE_URL: urlFor(adminUrl, `vigil_${name}`, passwords),
        ...(name === 'compliance'
          ? { SEQUENCER_DATABASE_URL: urlFor(adminUrl, 'vigil_sequencer', passwords), ...witnesses(witness) }
          : {}),
        ISSUER: issuer,
        JWKS_URL: env.JWKS_URL ?? `${url('compliance')}/.well-known/jwks.json`,
        ...trustInEachOther(env),
      },
    }),
  )
  const all = witness ? [...children, witness.child] : children
  const stop = async () => void (await Promise.all(all.map((child) => child.stop())))
  try {
    await Promise.all([
      witness?.ready(),
      ...SERVICES.map((name) => untilReady(name, url(name), logFile(name))),
    ])
  } catch (error) {
    await stop()
    throw error
  }
  const urls = Object.fromEntries(SERVICES.map((name) => [name, url(name)])) as Vigil['urls']
  return { urls, stop, pid: (service: ServiceName) => children[SERVICES.indexOf(service)]?.pid() }
}

/** Others may pass through, not look: the database server is another user when we are root. */
function createDataDir(dataDir: string): void {
  if (existsSync(dataDir)) return
  mkdirSync(dataDir, { recursive: true })
  chmodSync(dataDir, 0o711)
}

/**
 * Starts everything on one data folder: the embedded PostgreSQL unless `DATABASE_URL` names another, the
 * migrations, the credentials of the first start, the three services and the witness of the audit log. Throws DataDirInUseError where
 * another Vigil holds the folder.
 */
export async function startVigil({ dataDir: folder, env, log }: Options): Promise<Vigil> {
  const dataDir = resolve(folder)
  createDataDir(dataDir)
  const unlock = await lockDataDir(dataDir, PATIENCE_MS)
  const undo: (() => Promise<void>)[] = [async () => unlock()]
  const stop = async () => {
    for (const step of undo.splice(0).reverse()) await step()
  }
  try {
    let adminUrl = env.DATABASE_URL
    if (!adminUrl) {
      const port = env.POSTGRES_PORT ? Number(env.POSTGRES_PORT) : undefined
      const postgres = await keepDatabase({ dataDir, log, port })
      undo.push(postgres.stop)
      adminUrl = postgres.adminUrl
    }
    const credentials = credentialsIn(dataDir)
    const passwords = rolePasswordsIn(dataDir)
    await prepareDatabase(adminUrl, passwords, credentials, retentionFrom(env))
    // For the commands: a role of their own, no more.
    for (const name of ['fraud', 'keys', 'identity'] as const)
      writeSecret(
        join(dataDir, 'secrets', `${name}-database-url`),
        urlFor(adminUrl, `vigil_${name}`, passwords),
      )
    const services = await startServices({ dataDir, env, log }, adminUrl, passwords)
    undo.push(services.stop)
    return { urls: services.urls, credentials, adminUrl, pid: services.pid, stop }
  } catch (error) {
    await stop()
    throw error
  }
}
