import { type Bench, median, perSecond } from './bench.js'

/** One replica against two on one database, the same number of connections in all. */
export async function measureReplicas(bench: Bench): Promise<void> {
  const { history, connections, rounds } = bench.options
  await bench.history('replicated', history)
  const services = [await bench.fraud('replicated'), await bench.fraud('replicated')]
  const half = Math.ceil(connections / 2)
  const one: number[] = []
  const two: number[] = []
  try {
    await Promise.all(services.map((service) => bench.load(service, half, history, undefined, 3)))
    for (let round = 0; round < rounds; round++) {
      await bench.settle()
      one.push((await bench.load(services[0]!, connections, history)).perSecond)
      await bench.settle()
      const both = await Promise.all(services.map((service) => bench.load(service, half, history)))
      two.push(both.reduce((sum, load) => sum + load.perSecond, 0))
    }
  } finally {
    await Promise.all(services.map((service) => service.stop()))
    await bench.server.drop('replicated')
  }
  const part = 'replicas'
  bench.add({ part, what: 'one replica', value: perSecond(median(one)) })
  const ratio = median(two) / median(one)
  bench.add({
    part,
    what: 'two replicas on one database',
    value: perSecond(median(two)),
    ratio,
    target: { least: 1 },
  })
}
