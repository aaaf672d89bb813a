import { type ClientRequest, request } from 'node:http'
import { type Bench, perSecond } from './bench.js'
import { residentMib } from './cpu.js'
import type { Service } from './service.js'
import { accountsOf, payment } from './world.js'

interface Stream {
  seconds: number
  answered: number
  failed: number
  /** Resident memory of the service, MiB, once a second. */
  memory: number[]
}

const CHUNK_LINES = 200

/** Writes the lines as fast as the service takes them. */
async function write(call: ClientRequest, lines: number, accounts: number, prefix: string): Promise<void> {
  for (let at = 0; at < lines; at += CHUNK_LINES) {
    const now = Date.now()
    const count = Math.min(CHUNK_LINES, lines - at)
    const chunk = Array.from({ length: count }, (_, n) =>
      JSON.stringify(payment(`${prefix}-${at + n}`, now, accounts)),
    )
    if (!call.write(`${chunk.join('\n')}\n`)) await new Promise((done) => call.once('drain', done))
  }
  call.end()
}

function stream(bench: Bench, service: Service, lines: number): Promise<Stream> {
  const memory: number[] = []
  const startedAt = performance.now()
  const timer = setInterval(() => memory.push(residentMib(service.pid)), 1000)
  const headers = { 'content-type': 'application/x-ndjson', authorization: `Bearer ${bench.issuer.token}` }
  return new Promise<Stream>((done, fail) => {
    const call = request(
      `${service.url}/api/v1/transactions/batch`,
      { method: 'POST', headers },
      (response) => {
        if (response.statusCode !== 200)
          return void fail(new Error(`the batch was refused with ${response.statusCode}`))
        let answered = 0
        let failed = 0
        response.on('data', (chunk: Buffer) => {
          for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, at + 1)) answered++
          for (
            let at = chunk.indexOf('urn:vigil:problem');
            at >= 0;
            at = chunk.indexOf('urn:vigil:problem', at + 1)
          )
            failed++
        })
        response.once('end', () =>
          done({ seconds: (performance.now() - startedAt) / 1000, answered, failed, memory }),
        )
        response.once('error', fail)
      },
    )
    call.once('error', fail)
    void write(call, lines, accountsOf(bench.options.history), `b-${Date.now()}`)
  }).finally(() => clearInterval(timer))
}

/** One stream of many lines: the rate against pgbench's, and the service's memory along the way. */
export async function measureBatch(bench: Bench): Promise<void> {
  const { history, lines } = bench.options
  const part = 'batch'
  await bench.history('batch', history)
  const service = await bench.fraud('batch')
  try {
    await stream(bench, service, Math.min(lines, 5_000))
    await bench.settle()
    const yardstick = await bench.yardstick(16)
    await bench.settle()
    const { seconds, answered, failed, memory } = await stream(bench, service, lines)
    if (answered !== lines) throw new Error(`${lines} lines were sent, ${answered} answered`)
    const rate = lines / seconds
    const note = failed > 0 ? { note: `${failed} failed` } : {}
    if (yardstick) {
      bench.add({ part, what: 'pgbench TPC-B-like, 16 clients', value: perSecond(yardstick.perSecond) })
      const ratio = rate / yardstick.perSecond
      bench.add({
        part,
        what: `${lines.toLocaleString('en')} lines, against pgbench`,
        value: perSecond(rate),
        ratio,
        target: { least: 4 },
        ...note,
      })
    } else bench.add({ part, what: `${lines.toLocaleString('en')} lines`, value: perSecond(rate), ...note })
    const half = Math.floor(memory.length / 2)
    if (half > 0) {
      const [early, late] = [Math.max(...memory.slice(0, half)), Math.max(...memory.slice(half))]
      bench.add({
        part,
        what: 'memory, second half against first',
        value: `${late.toFixed(0)} MiB against ${early.toFixed(0)} MiB`,
        ratio: late / early,
        target: { most: 1.2 },
      })
    }
  } finally {
    await service.stop()
    await bench.server.drop('batch')
  }
}
