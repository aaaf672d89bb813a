import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import pg from 'pg'
import { createLogger, type RunningService } from '#libs/platform'
import { ComplianceConfig, startCompliance } from '../../apps/compliance/src/start.js'
import { FraudConfig, startFraud } from '../../apps/fraud/src/start.js'
import { ImagingConfig, startImaging } from '../../apps/imaging/src/start.js'
import { createTestDatabase } from './database.js'
import { type Issuer, startIssuer } from './issuer.js'

const MODELS_DIR = resolve(import.meta.dirname, '../../models')
const METHODS = ['get', 'put', 'post', 'delete', 'patch'] as const
export const SERVICES = ['fraud', 'imaging', 'compliance'] as const
export type ServiceName = (typeof SERVICES)[number]

export interface Schema {
  type?: string | string[]
  format?: string
  enum?: unknown[]
  const?: unknown
  properties?: Record<string, Schema>
  required?: string[]
  items?: Schema
  anyOf?: Schema[]
  oneOf?: Schema[]
  allOf?: Schema[]
  $ref?: string
  minLength?: number
}

interface Operation {
  'x-scopes'?: string[]
  'x-public'?: string
  parameters?: { name: string; in: string; required?: boolean; schema?: Schema }[]
  requestBody?: { content: Record<string, { schema?: Schema }> }
}

/** A route as its service's OpenAPI document tells it. */
export interface Route {
  service: ServiceName
  method: string
  path: string
  operation: Operation
  /** Follows `$ref`. */
  resolve(schema: Schema): Schema
}

/** All services over one database, in this process, with everything they log. */
export interface House {
  database: Awaited<ReturnType<typeof createTestDatabase>>
  admin: pg.Client
  issuer: Issuer
  dataDir: string
  services: Record<ServiceName, RunningService>
  lines: string[]
  routes: Route[]
  stop(): Promise<void>
}

async function routesOf(service: ServiceName, url: string): Promise<Route[]> {
  const document = (await (await fetch(`${url}/openapi.json`)).json()) as {
    paths: Record<string, Record<string, Operation>>
    components?: { schemas?: Record<string, Schema> }
  }
  const resolveRef = (schema: Schema): Schema =>
    schema.$ref ? resolveRef(document.components?.schemas?.[schema.$ref.split('/').at(-1)!] ?? {}) : schema
  return Object.entries(document.paths).flatMap(([path, operations]) =>
    METHODS.filter((method) => operations[method]).map((method) => ({
      ...{ service, path, resolve: resolveRef },
      method: method.toUpperCase(),
      operation: operations[method]!,
    })),
  )
}

export async function startHouse(settings: Record<string, string> = {}): Promise<House> {
  const [database, issuer] = await Promise.all([createTestDatabase(), startIssuer()])
  const admin = new pg.Client({ connectionString: database.adminUrl })
  await admin.connect()
  const dataDir = mkdtempSync(join(tmpdir(), 'vigil-house-'))
  const lines: string[] = []
  const common = (name: ServiceName) => ({
    DATABASE_URL: database.url(`vigil_${name}`),
    ...{ DATA_DIR: dataDir, MODELS_DIR, DRAIN_DELAY_MS: '0' },
    ...issuer.config,
    ...settings,
  })
  const logger = (name: string) =>
    createLogger(name, 'debug', { write: (line: string) => void lines.push(line) })
  const sequencer = { SEQUENCER_DATABASE_URL: database.url('vigil_sequencer'), SEQUENCE_INTERVAL_MS: '100' }
  // One after the other: the first makes the keyring that the others open.
  const compliance = await startCompliance(
    ComplianceConfig.parse({ ...common('compliance'), ...sequencer }),
    logger('compliance'),
  )
  const [fraud, imaging] = await Promise.all([
    startFraud(FraudConfig.parse(common('fraud')), logger('fraud')),
    startImaging(ImagingConfig.parse(common('imaging')), logger('imaging')),
  ])
  const services = { fraud, imaging, compliance }
  const routes = await Promise.all(SERVICES.map((name) => routesOf(name, services[name].url)))
  const stop = async () => {
    await Promise.all(Object.values(services).map((service) => service.stop()))
    await admin.end()
    await issuer.stop()
    await database.drop()
    rmSync(dataDir, { recursive: true, force: true })
  }
  return { ...{ database, admin, issuer, dataDir, services, lines, stop }, routes: routes.flat() }
}

/** Every row of every table of ours as JSON text, by table, with what stands in `bytea` written out as Latin-1, too. */
export async function everyRow(admin: pg.Client): Promise<{ table: string; row: string }[]> {
  const { rows: tables } = await admin.query<{ name: string }>(`
    SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables
    WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1`)
  const all = []
  for (const { name } of tables) {
    const { rows } = await admin.query<{ row: string }>(`SELECT to_jsonb(t)::text AS row FROM ${name} t`)
    for (const { row } of rows) {
      const bytes = row.replace(/\\\\x((?:[0-9a-f]{2})+)/g, (_, hex: string) =>
        Buffer.from(hex, 'hex').toString('latin1'),
      )
      all.push({ table: name, row: `${row}\n${bytes}` })
    }
  }
  return all
}

/** A payment, an image and what hangs on them: something of every kind that belongs to a tenant. */
export const payment = (transaction_id: string, changes: object = {}) => ({
  ...{ transaction_id, user_id: 'account-1', amount: 10.5, merchant_id: 'merchant-1' },
  ...{
    timestamp: new Date().toISOString(),
    location: { latitude: 48.85, longitude: 2.35 },
    payment_method: 'wallet',
  },
  ...changes,
})
