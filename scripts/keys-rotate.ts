import { existsSync, readFileSync } from 'node:fs'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { SingleBar } from 'cli-progress'
import { z } from 'zod'
import { appendAudit } from '#libs/audit'
import {
  alone,
  beginRotation,
  countVersions,
  finishRotation,
  keySettings,
  latestRotation,
  openProvider,
  type Rotation,
} from '#libs/crypto'
import { createPool, newId, readConfig } from '#libs/platform'

const RotateConfig = z.object({
  ...keySettings,
  DATA_DIR: z.string().default('.data'),
  /** Logged in as `vigil_keys`; `npm start` leaves it in the data folder. */
  KEYS_DATABASE_URL: z.url({ protocol: /^postgres(ql)?$/ }).optional(),
})

const USAGE = `npm run keys:rotate [-- --rewrap | --status]

  Makes a new key-encryption key, which everything is wrapped under at once, and moves the data keys under it while
  the services go on. Interrupted (also by kill -9), it goes on where it was when it is run again.
    --rewrap   makes no new key: moves what is not under the newest one (after KMS or KMS_PREVIOUS changed)
    --batch N  keys read and written together (200): fewer are gentler on the database
    --status   says how far the last rotation came and how many keys are under which version`

function databaseUrl(config: z.infer<typeof RotateConfig>): string {
  const path = join(config.DATA_DIR, 'secrets', 'keys-database-url')
  if (config.KEYS_DATABASE_URL) return config.KEYS_DATABASE_URL
  if (existsSync(path)) return readFileSync(path, 'utf8').trim()
  throw new Error(`KEYS_DATABASE_URL is not set, and there is no ${path}: has Vigil been started here?`)
}

async function main(): Promise<number> {
  const options = {
    batch: { type: 'string' },
    rewrap: { type: 'boolean' },
    status: { type: 'boolean' },
    help: { type: 'boolean' },
  } as const
  const { values } = parseArgs({ options })
  if (values.help) {
    console.log(USAGE)
    return 0
  }
  const config = readConfig(RotateConfig, process.env)
  const pool = createPool(databaseUrl(config), { applicationName: 'vigil-keys', max: 3 })
  const provider = await openProvider(config)
  try {
    if (values.status) return await status(pool, provider)
    const code = await alone(pool, () => rotate(pool, provider, !values.rewrap, batchOf(values.batch)))
    if (code === undefined) console.error('Another process rotates the keys already: see --status')
    return code ?? 1
  } finally {
    provider.close?.()
    await pool.end()
  }
}

function batchOf(text = '200'): number {
  const batch = Number(text)
  if (!Number.isInteger(batch) || batch < 1 || batch > 10_000)
    throw new Error('--batch takes a number from 1 to 10000')
  return batch
}

type Pool = ReturnType<typeof createPool>
type Provider = Awaited<ReturnType<typeof openProvider>>

async function rotate(pool: Pool, provider: Provider, fresh: boolean, batch: number): Promise<number> {
  const correlationId = newId()
  const order = {
    pool,
    provider,
    batch,
    record: (
      client: Parameters<typeof appendAudit>[0],
      action: string,
      details: Record<string, string | number>,
    ) =>
      appendAudit(client, {
        tenant: 'default',
        service: 'compliance',
        actor: { type: 'system', id: `keys-rotate ${userInfo().username}`.slice(0, 128) },
        action,
        outcome: 'success',
        correlationId,
        details,
      }),
  }
  const before = await latestRotation(pool)
  const rotation = await beginRotation(order, { fresh })
  const isResumed = before?.id === rotation.id
  console.log(
    `${isResumed ? 'going on with' : fresh ? 'rotating to' : 're-wrapping under'} ${rotation.version}`,
  )
  const isShown = process.stdout.isTTY
  const bar = new SingleBar({
    format: '  {bar} {value}/{total} keys  {rewrapped} re-wrapped  {eta_formatted}',
  })
  if (isShown) bar.start(rotation.total, rotation.seen, { rewrapped: rotation.rewrapped })
  let unreadable: string[] = []
  for await (const progress of finishRotation(order, rotation)) {
    unreadable = progress.unreadable
    if (isShown) bar.update(Math.min(rotation.seen, rotation.total), { rewrapped: rotation.rewrapped })
  }
  if (isShown) bar.stop()
  console.log(`${rotation.rewrapped} keys re-wrapped under ${rotation.version}; ${rotation.seen} looked at`)
  for (const id of unreadable) console.error(`does not open, left as it is: ${id}`)
  return unreadable.length > 0 ? 2 : 0
}

function describe({ version, startedAt, finishedAt, seen, total, rewrapped }: Rotation): string {
  const begun = `${version}: begun ${startedAt.toISOString()}`
  return finishedAt
    ? `${begun}, finished ${finishedAt.toISOString()}, ${rewrapped} keys re-wrapped`
    : `${begun}, NOT finished: ${seen} of about ${total} keys looked at, ${rewrapped} re-wrapped; run it again to go on`
}

async function status(pool: Pool, provider: Provider): Promise<number> {
  const latest = await latestRotation(pool)
  console.log(latest ? `last rotation  ${describe(latest)}` : 'last rotation  none')
  const current = await provider.currentVersion()
  console.log(`wraps now      ${current}`)
  for (const [version, count] of await countVersions({ pool, provider }))
    console.log(`${String(count).padStart(9)} keys under ${version}${version === current ? '' : '  (older)'}`)
  return 0
}

main().then(
  (code) => {
    process.exitCode = code
  },
  (error: Error) => {
    console.error(error.message)
    process.exitCode = 1
  },
)
