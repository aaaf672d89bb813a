import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { LocalKeyring } from '#libs/crypto'
import { createLogger, type RunningService } from '#libs/platform'
import { ComplianceConfig, startCompliance } from '../../apps/compliance/src/start.js'
import { createTestDatabase, type TestDatabase } from './database.js'
import { type Issuer, startIssuer } from './issuer.js'

type TokenRequest = Parameters<Issuer['token']>[0]

export interface Answer<T> {
  status: number
  contentType: string
  headers: Headers
  /** Parsed where it is JSON, else text. */
  body: T
}

/** Somebody with a token who talks to the service. */
export interface HttpClient {
  get<T>(path: string, headers?: Record<string, string>): Promise<Answer<T>>
  post<T>(path: string, body?: object): Promise<Answer<T>>
  delete<T>(path: string): Promise<Answer<T>>
  fetch(path: string, init?: RequestInit): Promise<Response>
}

/** A compliance service on a database, a data folder and an issuer of its own. */
export interface ComplianceUnderTest {
  database: TestDatabase
  service: RunningService
  dataDir: string
  issuer: Issuer
  patientIndexKey: Buffer
  keyring: LocalKeyring
  logLines: string[]
  client(request: TokenRequest): Promise<HttpClient>
  /** The same for a service elsewhere. */
  clientAt(url: string, token: string): HttpClient
  stop(): Promise<void>
}

async function answerOf<T>(response: Response): Promise<Answer<T>> {
  const contentType = response.headers.get('content-type') ?? ''
  const body = (/[/+]json\b/.test(contentType) ? await response.json() : await response.text()) as T
  return { status: response.status, contentType, headers: response.headers, body }
}

function clientWith(url: string, bearer: string): HttpClient {
  const send = (path: string, init: RequestInit = {}) =>
    fetch(`${url}${path}`, {
      ...init,
      headers: { authorization: `Bearer ${bearer}`, ...(init.headers as Record<string, string>) },
    })
  return {
    fetch: send,
    get: async (path, headers = {}) => answerOf(await send(path, { headers })),
    delete: async (path) => answerOf(await send(path, { method: 'DELETE' })),
    post: async (path, body) =>
      answerOf(
        await send(path, {
          method: 'POST',
          ...(body ? { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } } : {}),
        }),
      ),
  }
}

export async function startComplianceUnderTest(
  settings: Record<string, string | number> = {},
  /** What has happened before the service is started. */
  before: (database: TestDatabase) => Promise<void> = async () => undefined,
): Promise<ComplianceUnderTest> {
  const [database, issuer] = await Promise.all([createTestDatabase(), startIssuer()])
  await before(database)
  const dataDir = mkdtempSync(join(tmpdir(), 'vigil-compliance-'))
  const logLines: string[] = []
  const config = ComplianceConfig.parse({
    DATABASE_URL: database.url('vigil_compliance'),
    SEQUENCER_DATABASE_URL: database.url('vigil_sequencer'),
    DATA_DIR: dataDir,
    ...issuer.config,
    SEQUENCE_INTERVAL_MS: 50,
    DRAIN_DELAY_MS: 0,
    ...settings,
  })
  const service = await startCompliance(
    config,
    createLogger('compliance', 'info', { write: (line) => void logLines.push(line) }),
  )
  let stopped: Promise<void> | undefined
  const stopOnce = () => {
    stopped ??= service.stop()
    return stopped
  }
  const keyring = LocalKeyring.open(join(dataDir, 'secrets', 'keyring.json'))
  return {
    ...{ database, dataDir, issuer, logLines, keyring },
    service: { ...service, stop: stopOnce },
    patientIndexKey: keyring.derive('blind index'),
    clientAt: clientWith,
    client: async (request) => clientWith(service.url, await issuer.token(request)),
    stop: async () => {
      await stopOnce()
      await issuer.stop()
      await database.drop()
      rmSync(dataDir, { recursive: true, force: true })
    },
  }
}
