import { type Bench, medians, ms, perSecond } from './bench.js'
import type { Load } from './load.js'
import type { Yardstick } from './pgbench.js'

interface Rounds {
  fraud: Load[]
  baseline: Load[]
  pgbench: Yardstick[]
}

/** The three of them in turn, round by round, so that what disturbs the machine disturbs all. */
async function inTurn(bench: Bench, connections: number, clients: number): Promise<Rounds> {
  const { history, rounds } = bench.options
  await bench.history('single', history)
  await bench.history('single_baseline', history, 'baseline')
  const fraud = await bench.fraud('single')
  const baseline = await bench.baseline('single_baseline')
  const measured: Rounds = { fraud: [], baseline: [], pgbench: [] }
  try {
    for (const service of [fraud, baseline]) await bench.load(service, connections, history, undefined, 3)
    for (let round = 1; round <= rounds; round++) {
      bench.log(`  round ${round} of ${rounds}`)
      await bench.settle()
      const yardstick = await bench.yardstick(clients)
      if (yardstick) measured.pgbench.push(yardstick)
      await bench.settle()
      measured.fraud.push(await bench.load(fraud, connections, history))
      await bench.settle()
      measured.baseline.push(await bench.load(baseline, connections, history))
    }
    return measured
  } finally {
    await Promise.all([fraud.stop(), baseline.stop()])
    await bench.server.drop('single')
    await bench.server.drop('single_baseline')
  }
}

const failedNote = ({ failed }: Load) => (failed > 0 ? { note: `${failed} failed` } : {})

/** Single decisions over HTTP on many connections: against pgbench's transactions and against the baseline's decisions. */
export async function measureSingle(bench: Bench): Promise<void> {
  const { connections } = bench.options
  const rounds = await inTurn(bench, connections, 16)
  const fraud = medians(rounds.fraud)
  const baseline = medians(rounds.baseline)
  const part = `${connections} connections`
  if (rounds.pgbench.length > 0) {
    const yardstick = medians(rounds.pgbench)
    bench.add({ part, what: 'pgbench TPC-B-like, 16 clients', value: perSecond(yardstick.perSecond) })
    const ratio = fraud.perSecond / yardstick.perSecond
    bench.add({
      part,
      what: 'decisions, against pgbench',
      value: perSecond(fraud.perSecond),
      ratio,
      target: { least: 2 },
    })
  }
  bench.add({ part, what: 'baseline', value: perSecond(baseline.perSecond), ...failedNote(baseline) })
  bench.add({
    part,
    what: 'decisions, against the baseline',
    value: perSecond(fraud.perSecond),
    ratio: fraud.perSecond / baseline.perSecond,
    target: { least: 5 },
    ...failedNote(fraud),
  })
  bench.add({ part, what: 'p50', value: ms(fraud.p50) })
  bench.add({ part, what: 'p99, of 60 ms', value: ms(fraud.p99), ratio: fraud.p99 / 60, target: { most: 1 } })
  bench.add({ part, what: 'p99 of the baseline', value: ms(baseline.p99) })
}

/** One request at a time: against the latency of pgbench's own transaction with one client. */
export async function measureAlone(bench: Bench): Promise<void> {
  const rounds = await inTurn(bench, 1, 1)
  const fraud = medians(rounds.fraud)
  const baseline = medians(rounds.baseline)
  const part = 'one at a time'
  if (rounds.pgbench.length === 0) return
  const yardstick = medians(rounds.pgbench)
  bench.add({ part, what: 'pgbench, 1 client, p50', value: ms(yardstick.p50) })
  bench.add({ part, what: 'pgbench, 1 client, p99', value: ms(yardstick.p99) })
  bench.add({
    part,
    what: 'decision, p50',
    value: ms(fraud.p50),
    ratio: fraud.p50 / yardstick.p50,
    target: { most: 2 },
  })
  bench.add({
    part,
    what: 'decision, p99',
    value: ms(fraud.p99),
    ratio: fraud.p99 / yardstick.p99,
    target: { most: 4 },
  })
  bench.add({ part, what: 'baseline, p50', value: ms(baseline.p50), ratio: baseline.p50 / yardstick.p50 })
  bench.add({ part, what: 'baseline, p99', value: ms(baseline.p99), ratio: baseline.p99 / yardstick.p99 })
}
