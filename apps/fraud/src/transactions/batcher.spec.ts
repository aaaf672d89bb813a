import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { Batcher, type Ended } from './batcher.js'

const limits = { lanes: 2, mostInBatch: 4, mostWaiting: 6 }

/** A batcher whose batches end when they are told to. */
function held(changes: Partial<typeof limits> = {}) {
  const batches: { items: number[]; end(ends: Ended<number>[]): void }[] = []
  const run = (items: number[]) =>
    new Promise<Ended<number>[]>((end) => {
      batches.push({ items, end })
    })
  return { batches, batcher: new Batcher<number, number>({ ...limits, ...changes }, run) }
}
const doubled = (items: number[]): Ended<number>[] => items.map((item) => ({ result: 2 * item }))
const turn = () => sleep(1)

test('what arrives alone starts at the end of the turn; what arrives with it shares its batch', async () => {
  const { batches, batcher } = held()
  const answers = [1, 2, 3].map((item) => batcher.submit(item))
  expect(batches).toEqual([])
  await turn()
  expect(batches.map(({ items }) => items)).toEqual([[1, 2, 3]])
  batches[0]!.end(doubled(batches[0]!.items))
  expect(await Promise.all(answers)).toEqual([2, 4, 6])
})

test('while all lanes are busy the next batch gathers, up to its limit and in order', async () => {
  const { batches, batcher } = held()
  const answers = [batcher.submit(1)]
  await turn()
  answers.push(batcher.submit(2))
  await turn()
  for (let item = 3; item <= 8; item++) answers.push(batcher.submit(item))
  await turn()
  expect(batches).toHaveLength(2)
  batches[1]!.end(doubled([2]))
  await turn()
  expect(batches[2]!.items).toEqual([3, 4, 5, 6])
  batches[0]!.end(doubled([1]))
  await turn()
  expect(batches[3]!.items).toEqual([7, 8])
  for (const at of [2, 3]) batches[at]!.end(doubled(batches[at]!.items))
  expect(await Promise.all(answers)).toEqual([2, 4, 6, 8, 10, 12, 14, 16])
})

test('more than may wait is refused with 503 and told when to come again; there is room again later', async () => {
  const { batches, batcher } = held({ lanes: 1 })
  const first = batcher.submit(0)
  await turn()
  const waiting = [1, 2, 3, 4, 5, 6].map((item) => batcher.submit(item))
  await expect(batcher.submit(7)).rejects.toMatchObject({
    status: 503,
    options: { headers: { 'retry-after': '1' } },
  })
  batches[0]!.end(doubled([0]))
  expect(await first).toBe(0)
  await turn()
  const later = batcher.submit(8)
  batches[1]!.end(doubled(batches[1]!.items))
  await turn()
  batches[2]!.end(doubled(batches[2]!.items))
  expect(await Promise.all([...waiting, later])).toEqual([2, 4, 6, 8, 10, 12, 16])
})

test('one item fails alone, and a run that breaks fails its own batch', async () => {
  const { batches, batcher } = held()
  const answers = [1, 2].map((item) => batcher.submit(item))
  await turn()
  batches[0]!.end([{ error: new Error('no') }, { result: 4 }])
  await expect(answers[0]).rejects.toThrow('no')
  expect(await answers[1]).toBe(4)
  const broken = new Batcher<number, number>(limits, () => Promise.reject(new Error('broken')))
  await expect(broken.submit(1)).rejects.toThrow('broken')
  await expect(broken.submit(2)).rejects.toThrow('broken')
})
