import { createReadStream } from 'node:fs'
import { ExportVerifier } from '#libs/audit'

/** Verifies the export of the first argument with the key of the second, as `npm run audit:verify` does; says what it took. */
const [path = '', key = ''] = process.argv.slice(2)
const start = performance.now()
const verifier = new ExportVerifier({ keys: [key] })
for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) verifier.write(chunk as Buffer)
const { entries } = verifier.end()
const { maxRSS, userCPUTime, systemCPUTime } = process.resourceUsage()
const cpu = (userCPUTime + systemCPUTime) / 1e6
console.log(
  JSON.stringify({ entries, seconds: (performance.now() - start) / 1000, cpu, peakMib: maxRSS / 1024 }),
)
