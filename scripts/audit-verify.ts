import { createReadStream, existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { SingleBar } from 'cli-progress'
import { ExportVerifier, type FailureKind, VerificationFailure } from '#libs/audit'
import { ContentCheck } from './audit/content-check.js'
import { readGiven, sizeOfGiven } from './audit/given.js'
import { cosignedBy, toldExport } from './audit/told.js'
import { verifyLog } from './audit/verify-log.js'
import { requestToken } from './client/token.js'
import type { Credentials } from './supervise/secrets.js'

const USAGE = `npm run audit:verify -- EXPORT|URL [--key VKEY]... [--checkpoint FILE] [--content FILE] [--token TOKEN | --hashes]

Verifies an exported file, or a live log, without its database: the signatures, every entry, the tree.
  --key VKEY         verification key to trust, as /log/keys shows them: the log's, and those of witnesses, which must
                     then have cosigned. Keep them apart: a key that comes along proves nothing against who runs the log.
  --checkpoint FILE  a checkpoint that you kept (curl URL/log/checkpoint): history must only have been appended to since.
  --content FILE     the CSV or FHIR file of an export whose proofs are verified: it must be what they prove, byte by byte.
  --token TOKEN      access token with audit:read, for the entries of a live log; without one the auditor of
                     DATA_DIR/credentials.json asks for it.
  --hashes           a live log's hashes alone, which are public: no token, no entry is read.

Exit code: 0 verified; 1 it could not be read; 2 an entry or hash is not what was recorded (the place is named);
3 not signed by the key, or not cosigned; 4 history is not what it was at the earlier checkpoint.`

const EXIT: Record<FailureKind, number> = { unreadable: 1, changed: 2, signature: 3, history: 4 }

async function auditorToken(url: string): Promise<string> {
  const file = join(process.env.DATA_DIR ?? '.data', 'credentials.json')
  if (!existsSync(file)) throw new Error('Give a --token with the scope audit:read, or --hashes')
  const { clients } = JSON.parse(readFileSync(file, 'utf8')) as Credentials
  const auditor = clients.find((client) => client.scopes.includes('audit:read'))
  if (!auditor) throw new Error('Give a --token with the scope audit:read, or --hashes')
  return requestToken(url, auditor, 'audit:read')
}

interface Given {
  keys: string[]
  earlier?: string
  content?: string
}

const OWN_KEYS =
  'note: the keys came from the log itself; give --key with the ones that you keep to verify against whoever runs it'

const besideOf = (format: string) =>
  `note: the ${format} file beside these proofs was not read: what holds is what stands here`

/** Of how many entries only the hashes were there to verify: without a token, or dropped after their period. */
const by = ({ size, entries }: { size: number; entries: number }) =>
  entries === size ? '' : ` (${size - entries} of them by their hashes alone)`

async function verifyUrl(url: string, given: Given, token: string | undefined): Promise<number> {
  const bar = new SingleBar({ format: 'verifying {bar} {value}/{total} entries' })
  bar.start(1, 0)
  const progress = (done: number, size: number) => {
    bar.setTotal(size)
    bar.update(done)
  }
  const result = await verifyLog({ url, ...given, ...(token ? { token } : {}), progress }).finally(() =>
    bar.stop(),
  )
  if (!result.ok) {
    console.error(`NOT VERIFIED: ${result.failure}`)
    return EXIT[result.kind]
  }
  const witnessed = cosignedBy(result.witnesses, given.keys)
  console.log(`verified: ${result.size} entries${by(result)}, root ${result.root}, ${witnessed}`)
  if (given.keys.length === 0) console.log(OWN_KEYS)
  return 0
}

async function verifyFile(path: string, given: Given): Promise<number> {
  const bar = new SingleBar({ format: 'verifying {bar} {percentage} %' })
  bar.start(sizeOfGiven(path), 0)
  if (given.content) sizeOfGiven(given.content)
  const content = given.content ? new ContentCheck(given.content) : undefined
  const verifier = new ExportVerifier({ ...given, ...(content ? { reader: content } : {}) })
  try {
    for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) {
      verifier.write(chunk as Buffer)
      bar.increment((chunk as Buffer).length)
    }
    const verified = verifier.end()
    content?.end()
    bar.stop()
    console.log(toldExport(verified, given.keys))
    const { format } = verified.header
    if (given.content) console.log(`${given.content} is what these proofs prove`)
    else if (format !== 'ndjson') console.log(besideOf(format))
    if (given.keys.length === 0) console.log(OWN_KEYS.replace('the log itself', 'the export itself'))
    return 0
  } catch (error) {
    bar.stop()
    if (!(error instanceof VerificationFailure)) throw error
    console.error(`NOT VERIFIED: ${error.message}`)
    return EXIT[error.kind]
  } finally {
    content?.close()
  }
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      checkpoint: { type: 'string' },
      key: { type: 'string', multiple: true },
      content: { type: 'string' },
      token: { type: 'string' },
      hashes: { type: 'boolean' },
      help: { type: 'boolean' },
    },
  })
  if (values.help) {
    console.log(USAGE)
    return 0
  }
  const target = positionals[0]
  if (positionals.length !== 1 || !target) throw new Error(USAGE)
  const given: Given = {
    keys: values.key ?? [],
    ...(values.content ? { content: values.content } : {}),
    ...(values.checkpoint ? { earlier: readGiven(values.checkpoint) } : {}),
  }
  if (!/^https?:\/\//.test(target)) return verifyFile(target, given)
  if (given.content) throw new Error('--content goes with the proofs of an export, not with a live log')
  const url = target.replace(/\/$/, '')
  return verifyUrl(url, given, values.hashes ? undefined : (values.token ?? (await auditorToken(url))))
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
