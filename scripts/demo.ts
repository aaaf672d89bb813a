import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { SingleBar } from 'cli-progress'
import { type Verification, verifyLog } from './audit/verify-log.js'
import { requestToken } from './client/token.js'
import { demonstrateImages } from './demo/images.js'
import { demonstratePayments } from './demo/payments.js'
import { complaints, type Figures, summaryRows } from './demo/summary.js'
import { DataDirInUseError } from './supervise/lock.js'
import { startVigil, type Vigil } from './supervise/vigil.js'

const dataDir = process.env.DATA_DIR ?? '.data'

async function verifyAudit(url: string, token: string): Promise<Verification> {
  // The sequencer places entries within a second of their being written.
  await sleep(1_500)
  const bar = new SingleBar({ format: 'audit log {bar} {value}/{total} entries verified' })
  bar.start(1, 0)
  const progress = (done: number, size: number) => {
    bar.setTotal(size)
    bar.update(done)
  }
  // With the keys given, each witness among them must have cosigned.
  const keys = (await (await fetch(`${url}/log/keys`)).text()).trim().split('\n')
  return verifyLog({ url, token, keys, progress }).finally(() => bar.stop())
}

async function demonstrate({ urls, credentials }: Vigil): Promise<Figures> {
  const tokenOf = (name: string) =>
    requestToken(urls.compliance, credentials.clients.find((client) => client.name === name)!)
  const payments = await demonstratePayments(dataDir, urls.fraud, await tokenOf('payments'))
  const images = await demonstrateImages(urls.imaging, await tokenOf('clinic'))
  const audit = await verifyAudit(urls.compliance, await tokenOf('auditor'))
  return { payments, images, audit }
}

function print(figures: Figures): string[] {
  const rows = summaryRows(figures)
  const width = Math.max(...rows.map(([name]) => name.length))
  console.log(`\n${rows.map(([name, value]) => `  ${name.padEnd(width)}  ${value}`).join('\n')}\n`)
  const wrong = complaints(figures)
  for (const complaint of wrong) console.error(`WRONG: ${complaint}`)
  return wrong
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { once: { type: 'boolean', default: false } } })
  console.log('starting PostgreSQL and the services')
  const vigil = await startVigil({ dataDir, env: process.env, log: (line) => console.log(line) })
  let stopping: Promise<never> | undefined
  const stop = (code: number) => {
    stopping ??= vigil.stop().then(() => process.exit(code))
    return stopping
  }
  process.on('SIGINT', () => stop(0))
  process.on('SIGTERM', () => stop(0))
  const wrong = await demonstrate(vigil).then(print, (error: Error) => {
    if (!stopping) console.error(`WRONG: ${error.message}`)
    return [error.message]
  })
  if (values.once) return stop(wrong.length > 0 ? 1 : 0)
  for (const [name, url] of Object.entries(vigil.urls))
    console.log(`  ${name.padEnd(11)} ${url}   API: ${url}/docs`)
  console.log(`  credentials ${dataDir}/credentials.json\n\nVigil stays up. Ctrl-C stops it.`)
}

main().catch((error: Error) => {
  console.error(error instanceof DataDirInUseError ? error.message : error)
  process.exit(1)
})
