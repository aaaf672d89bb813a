import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { SingleBar } from 'cli-progress'
import { verifyLog } from './audit/verify-log.js'
import { requestToken } from './client/token.js'
import type { Credentials } from './supervise/secrets.js'

const USAGE = `npm run audit:verify -- URL [--checkpoint FILE] [--key VKEY] [--token TOKEN]
Verifies a live audit log without its database: the signature, every entry, the whole tree, and, against a checkpoint
that you kept (curl URL/log/checkpoint), that history was only appended to. Keep the verification key (URL/log/keys) too:
a key that comes from the log itself proves nothing against whoever runs it.
The token needs audit:read; without one the auditor of DATA_DIR/credentials.json asks for it.
Exit code: 0 verified, 2 the log is not what it was (the place is named), 1 it could not be read.`

async function auditorToken(url: string): Promise<string> {
  const file = join(process.env.DATA_DIR ?? '.data', 'credentials.json')
  if (!existsSync(file)) throw new Error('Give a --token with the scope audit:read')
  const { clients } = JSON.parse(readFileSync(file, 'utf8')) as Credentials
  const auditor = clients.find((client) => client.scopes.includes('audit:read'))
  if (!auditor) throw new Error('Give a --token with the scope audit:read')
  return requestToken(url, auditor, 'audit:read')
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { checkpoint: { type: 'string' }, key: { type: 'string' }, token: { type: 'string' } },
  })
  const url = positionals[0]?.replace(/\/$/, '')
  if (positionals.length !== 1 || !url || !URL.canParse(url)) {
    console.error(USAGE)
    return 1
  }
  const bar = new SingleBar({ format: 'verifying {bar} {value}/{total} entries' })
  bar.start(1, 0)
  const result = await verifyLog({
    url,
    token: values.token ?? (await auditorToken(url)),
    ...(values.key ? { key: values.key } : {}),
    ...(values.checkpoint ? { earlier: readFileSync(values.checkpoint, 'utf8') } : {}),
    progress: (done, size) => {
      bar.setTotal(size)
      bar.update(done)
    },
  }).finally(() => bar.stop())
  if (result.ok) console.log(`verified: ${result.size} entries, root ${result.root}`)
  else console.error(`NOT VERIFIED: ${result.failure}`)
  return result.ok ? 0 : 2
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
