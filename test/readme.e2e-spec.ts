import { spawn, spawnSync } from 'node:child_process'
import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'

const blocks = [...readFileSync('README.md', 'utf8').matchAll(/```sh\n([\s\S]*?)```/g)].map(
  ([, text]) => text!,
)
const folder = mkdtempSync(join(tmpdir(), 'vigil-readme-'))
chmodSync(folder, 0o711)
const ports = ['COMPLIANCE_PORT', 'FRAUD_PORT', 'IMAGING_PORT', 'POSTGRES_PORT']
const env = { ...process.env, DATA_DIR: folder, ...Object.fromEntries(ports.map((name) => [name, '0'])) }
const vigil = spawn(process.execPath, ['dist/scripts/start.js'], {
  env,
  stdio: ['ignore', 'pipe', 'inherit'],
})
let said = ''
vigil.stdout.on('data', (chunk) => {
  said += chunk
})

beforeAll(async () => {
  while (!said.includes('Vigil is up')) {
    if (vigil.exitCode !== null) throw new Error(`Vigil did not start: ${said}`)
    await new Promise((done) => setTimeout(done, 100))
  }
}, 70_000)
afterAll(async () => {
  vigil.kill('SIGTERM')
  await new Promise((done) => vigil.once('exit', done))
  rmSync(folder, { recursive: true, force: true })
})

/** Runs what the README says, word for word but for the ports, the data folder, and npm's way to the same script. */
function follow(block: string): string {
  const urls = { 3000: 'compliance', 3001: 'fraud', 3002: 'imaging' }
  let script = `${blocks.find((text) => text.startsWith('token()'))}\n${block}`
  for (const [port, name] of Object.entries(urls)) {
    const url = new RegExp(`${name}\\s+(http://\\S+)`).exec(said)![1]!
    script = script.replaceAll(`http://127.0.0.1:${port}`, url)
  }
  script = script
    .replaceAll('.data/', `${folder}/`)
    .replaceAll('npm run simulate --', 'node dist/scripts/simulate/main.js')
    .replaceAll('npm run audit:verify --', 'node dist/scripts/audit-verify.js')
  const { stdout, stderr, status } = spawnSync('bash', ['-e', '-c', script], { env, encoding: 'utf8' })
  expect(status, stderr).toBe(0)
  return stdout
}
const blockWith = (text: string) =>
  blocks.find((block) => block.includes(text) && !block.startsWith('token()'))!

test('the payment example is decided', () => {
  expect(JSON.parse(follow(blockWith('order-1001')))).toMatchObject({
    transaction_id: 'order-1001',
    decision: expect.any(String),
  })
})

test('the radiograph example comes back with a finding', () => {
  const output = follow(blockWith('MRN123'))
  expect(JSON.parse(output.slice(output.indexOf('{')))).toMatchObject({
    status: 'completed',
    result: { model: { name: 'chest-xray-pneumonia' } },
  })
}, 60_000)

test('the officer reads the trail and verifies the log', async () => {
  await new Promise((done) => setTimeout(done, 1_500))
  const output = follow(blockWith('TRANSACTION_DECIDED'))
  expect(output).toContain('"action":"TRANSACTION_DECIDED"')
  expect(output).toMatch(/verified: \d+ entries/)
}, 60_000)
