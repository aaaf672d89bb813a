import { type Bench, median, ms } from './bench.js'
import type { Service } from './service.js'
import { HOT_MERCHANT, hotPaymentsOf } from './world.js'

interface Sized {
  size: number
  service: Service
  medians: number[]
}

const databaseOf = (size: number) => `sized_${size}`

async function open(bench: Bench): Promise<Sized[]> {
  const opened: Sized[] = []
  for (const size of bench.options.sizes) {
    await bench.history(databaseOf(size), size)
    const service = await bench.fraud(databaseOf(size))
    opened.push({ size, service, medians: [] })
    await bench.load(service, 1, size, undefined, 2)
  }
  return opened
}

/** The median decision one at a time at each size of history, in turn; then at a hot merchant of the largest. */
export async function measureHistory(bench: Bench): Promise<void> {
  const sized = await open(bench)
  const part = 'history'
  try {
    for (let round = 0; round < bench.options.rounds; round++) {
      for (const one of sized) one.medians.push((await bench.load(one.service, 1, one.size)).p50)
    }
    const first = median(sized[0]!.medians)
    for (const { size, medians } of sized) {
      const p50 = median(medians)
      const what = `${size.toLocaleString('en')} payments, p50`
      bench.add({
        part,
        what,
        value: ms(p50),
        ...(size === sized[0]!.size ? {} : { ratio: p50 / first, target: { most: 1.3 } }),
      })
    }
    await measureHot(bench, sized.at(-1)!)
  } finally {
    for (const { service, size } of sized) {
      await service.stop()
      await bench.server.drop(databaseOf(size))
    }
  }
}

async function measureHot(bench: Bench, { size, service }: Sized): Promise<void> {
  const ordinary: number[] = []
  const hot: number[] = []
  for (let round = 0; round < bench.options.rounds; round++) {
    ordinary.push((await bench.load(service, 1, size)).p50)
    hot.push((await bench.load(service, 1, size, HOT_MERCHANT)).p50)
  }
  const ratio = median(hot) / median(ordinary)
  const days = (hotPaymentsOf(size) / 50_000).toFixed(0)
  const what = `merchant of 50,000 payments a day for ${days} days, p50`
  bench.add({ part: 'history', what, value: ms(median(hot)), ratio, target: { most: 2 } })
}
