import { spawn } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { SingleBar } from 'cli-progress'
import { type Payment, type Simulated, simulatePayments } from '../simulate/payments.js'

const DAY_MS = 86_400_000
const HISTORY_DAYS = 42
const LIVE_DAYS = 4
const LABEL_DELAY_MS = 7 * DAY_MS
const AT_ONCE = 32

/** What the stream of payments showed. */
export interface PaymentFigures {
  decided: number
  failed: number
  perSecond: number
  p50: number
  p99: number
  outcomes: Record<'approve' | 'review' | 'decline', number>
  frauds: number
  /** Share of the payments not approved that were frauds, and of the frauds that were not approved. */
  precision: number
  recall: number
}

/** Six weeks of history and the days after it; a new world every day, the same one for every run within a day. */
function simulate(now: number): { history: Simulated[]; live: Simulated[] } {
  const today = Math.floor(now / DAY_MS)
  const from = new Date((today - HISTORY_DAYS - LIVE_DAYS) * DAY_MS)
  const border = (today - LIVE_DAYS) * DAY_MS
  const all = [
    ...simulatePayments({
      seed: today,
      customers: 350,
      merchants: 700,
      from,
      days: HISTORY_DAYS + LIVE_DAYS,
    }),
  ]
  const isLive = ({ payment }: Simulated) => Date.parse(payment.timestamp) >= border
  return { history: all.filter((simulated) => !isLive(simulated)), live: all.filter(isLive) }
}

/** History as a CSV file: a payment's truth is in it once it would be known. */
function writeHistory(dataDir: string, history: Simulated[], now: number): string {
  const folder = join(dataDir, 'demo')
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const file = join(folder, 'history.csv')
  const lines = history.map(({ payment: p, scenario }) => {
    const known = Date.parse(p.timestamp) + LABEL_DELAY_MS <= now
    const label = known ? (scenario === 'genuine' ? '0' : '1') : ''
    const { latitude, longitude } = p.location
    return [
      p.transaction_id,
      p.timestamp,
      p.user_id,
      p.merchant_id,
      p.amount,
      p.currency,
      p.payment_method,
      latitude,
      longitude,
      label,
    ].join(',')
  })
  const header =
    'transaction_id,timestamp,user_id,merchant_id,amount,currency,payment_method,latitude,longitude,label'
  writeFileSync(file, `${[header, ...lines].join('\n')}\n`, { mode: 0o600 })
  return file
}

/** Loads the history with the product's own tool. */
async function importHistory(dataDir: string, file: string): Promise<void> {
  const script = resolve(import.meta.dirname, '../fraud-import.js')
  // An administrator's DATABASE_URL is not for this: the import finds the service's own login in the data folder.
  const { DATABASE_URL: _administrator, ...env } = process.env
  const child = spawn(process.execPath, [script, file], {
    stdio: 'inherit',
    env: { ...env, DATA_DIR: dataDir },
  })
  const code = await new Promise((done) => child.once('exit', done))
  if (code !== 0) throw new Error(`The import of history ended with ${code}`)
}

const percentile = (sorted: number[], share: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0

interface Answer {
  outcome: 'approve' | 'review' | 'decline' | undefined
  ms: number
}

async function decide(url: string, token: string, payment: Payment): Promise<Answer> {
  const startedAt = performance.now()
  const response = await fetch(`${url}/api/v1/transactions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify(payment),
  })
  const body = (await response.json()) as { decision?: Answer['outcome'] }
  return { outcome: response.ok ? body.decision : undefined, ms: performance.now() - startedAt }
}

/** Posts payments in their order, up to 32 under way at once. */
async function stream(
  url: string,
  token: string,
  live: Simulated[],
): Promise<{ answers: Answer[]; seconds: number }> {
  const bar = new SingleBar({ format: 'payments  {bar} {value}/{total} | {rate} a second' })
  const answers: Answer[] = new Array(live.length)
  const startedAt = performance.now()
  let [next, done] = [0, 0]
  bar.start(live.length, 0, { rate: 0 })
  const worker = async () => {
    for (let at = next++; at < live.length; at = next++) {
      answers[at] = await decide(url, token, live[at]!.payment)
      bar.update(++done, { rate: Math.round((1000 * done) / (performance.now() - startedAt)) })
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, worker))
  bar.stop()
  return { answers, seconds: (performance.now() - startedAt) / 1000 }
}

/** The first half of the demonstration: history in, then a stream of payments with frauds among them. */
export async function demonstratePayments(
  dataDir: string,
  url: string,
  token: string,
): Promise<PaymentFigures> {
  const now = Date.now()
  const { history, live } = simulate(now)
  await importHistory(dataDir, writeHistory(dataDir, history, now))
  const { answers, seconds } = await stream(url, token, live)
  const outcomes = { approve: 0, review: 0, decline: 0 }
  for (const { outcome } of answers) if (outcome) outcomes[outcome]++
  const isFraud = (at: number) => live[at]!.scenario !== 'genuine'
  const stopped = answers
    .map(({ outcome }, at) => ({ at, outcome }))
    .filter(({ outcome }) => outcome === 'review' || outcome === 'decline')
  const caught = stopped.filter(({ at }) => isFraud(at)).length
  const frauds = live.filter((_, at) => isFraud(at)).length
  const times = answers.map(({ ms }) => ms).sort((a, b) => a - b)
  const decided = answers.filter(({ outcome }) => outcome).length
  return {
    decided,
    failed: answers.length - decided,
    perSecond: answers.length / seconds,
    p50: percentile(times, 0.5),
    p99: percentile(times, 0.99),
    outcomes,
    frauds,
    precision: stopped.length === 0 ? 0 : caught / stopped.length,
    recall: frauds === 0 ? 0 : caught / frauds,
  }
}
