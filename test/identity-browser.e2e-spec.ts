import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { type Browser, chromium } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createLogger, newId, type RunningService } from '#libs/platform'
import { seedClients } from '../apps/compliance/src/identity/clients.js'
import { hashPassword } from '../apps/compliance/src/identity/passwords.js'
import { addPerson } from '../apps/compliance/src/identity/people.js'
import { ComplianceConfig, startCompliance } from '../apps/compliance/src/start.js'
import { freePort } from '../scripts/embedded/port.js'
import { createTestDatabase, type TestDatabase } from './support/database.js'
import { pkce } from './support/visitor.js'

const CHROMIUM = process.env.VIGIL_CHROMIUM ?? '/usr/bin/chromium'
const hasChromium = existsSync(CHROMIUM)
if (!hasChromium) console.warn(`skipped: there is no ${CHROMIUM} (set VIGIL_CHROMIUM)`)

const PASSWORD = 'correct horse battery staple'
const dataDir = mkdtempSync(join(tmpdir(), 'vigil-browser-'))

describe.skipIf(!hasChromium)('in a browser that obeys the policy of each page', () => {
  let database: TestDatabase
  let service: RunningService
  let application: Server
  let callback: string
  let browser: Browser

  beforeAll(async () => {
    database = await createTestDatabase()
    application = createServer((_request, response) => response.end('<title>Back at the application</title>'))
    await new Promise<void>((done) => application.listen(0, '127.0.0.1', done))
    callback = `http://127.0.0.1:${(application.address() as AddressInfo).port}/callback`
    const admin = new pg.Client({ connectionString: database.adminUrl })
    await admin.connect()
    const scopes = ['data:read', 'fraud:review']
    await seedClients(admin, [{ name: 'Fraud desk', client_id: 'desk', scopes, redirect_uris: [callback] }])
    const passwordHash = await hashPassword(PASSWORD)
    const ana = { id: newId(), name: 'Ana', email: 'ana@example.org', roles: ['analyst'], passwordHash }
    await addPerson(admin, ana)
    await admin.end()
    const port = await freePort(0)
    const config = ComplianceConfig.parse({
      DATABASE_URL: database.url('vigil_compliance'),
      DATA_DIR: dataDir,
      PORT: port,
      ISSUER: `http://127.0.0.1:${port}`,
      DRAIN_DELAY_MS: 0,
    })
    service = await startCompliance(config, createLogger('compliance', 'silent'))
    browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox'] })
  })
  afterAll(async () => {
    await browser?.close()
    await service?.stop()
    application?.close()
    await database?.drop()
    rmSync(dataDir, { recursive: true, force: true })
  })

  test('a person signs in, agrees, and is back at the application with a code that works', async () => {
    const { verifier, challenge } = pkce()
    const page = await browser.newPage()
    const complaints: string[] = []
    page.on('console', (message) => complaints.push(message.text()))
    page.on('pageerror', (error) => complaints.push(error.message))
    const query = new URLSearchParams({
      ...{ client_id: 'desk', response_type: 'code', redirect_uri: callback, state: 'xyz' },
      ...{ scope: 'openid data:read', code_challenge: challenge, code_challenge_method: 'S256' },
    })
    await page.goto(`${service.url}/auth/authorize?${query}`)
    await picture(page, 'sign-in')
    await page.getByLabel('E-mail address').fill('ana@example.org')
    await page.getByLabel('Password').fill('not the password')
    await page.getByRole('button', { name: 'Sign in' }).click()
    await expect.poll(() => page.getByRole('alert').count()).toBe(1)
    expect(await page.getByLabel('E-mail address').inputValue()).toBe('ana@example.org')
    await picture(page, 'sign-in-refused')
    await page.getByLabel('Password').fill(PASSWORD)
    await page.getByRole('button', { name: 'Sign in' }).click()
    await page.getByRole('heading', { name: 'Let Fraud desk act for you?' }).waitFor()
    await picture(page, 'consent')
    await page.getByRole('button', { name: 'Allow' }).click()
    await page.waitForURL(`${callback}?**`)
    const code = new URL(page.url()).searchParams.get('code')!
    const fields = { grant_type: 'authorization_code', client_id: 'desk', redirect_uri: callback }
    const body = new URLSearchParams({ ...fields, code, code_verifier: verifier })
    expect((await fetch(`${service.url}/auth/token`, { method: 'POST', body })).status).toBe(200)
    // A page that broke its own policy would say so here; a refused form is a 403, which the browser mentions too.
    expect(complaints.filter((text) => !/status of 403|favicon/.test(text))).toEqual([])
  })
})

/** For whoever wants to look: `VIGIL_SCREENSHOTS=/tmp npm test -- test/identity-browser`. */
async function picture(page: { screenshot(options: { path: string }): Promise<unknown> }, name: string) {
  const folder = process.env.VIGIL_SCREENSHOTS
  if (folder) await page.screenshot({ path: join(folder, `${name}.png`) })
}
