import fc from 'fast-check'
import { expect, test } from 'vitest'
import { inOrder } from './in-order.js'

const sleep = (ms: number) => new Promise((done) => setTimeout(done, ms))
async function* numbers(count: number) {
  for (let n = 0; n < count; n++) yield n
}

test('answers in input order with no more under way than allowed, whatever each takes', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 40 }),
      fc.integer({ min: 1, max: 8 }),
      async (delays, window) => {
        let active = 0
        let most = 0
        const map = async (n: number) => {
          most = Math.max(most, ++active)
          await sleep(delays[n]!)
          active--
          return `${n}\n`
        }
        let text = ''
        for await (const part of inOrder(numbers(delays.length), map, window)) text += part
        expect(text).toBe(delays.map((_, n) => `${n}\n`).join(''))
        expect(most).toBeLessThanOrEqual(window)
      },
    ),
    { numRuns: 30 },
  )
})

test('a result does not wait for more input', async () => {
  let more: () => void = () => undefined
  async function* slow() {
    yield 1
    await new Promise<void>((resolve) => {
      more = resolve
    })
    yield 2
  }
  const results = inOrder(slow(), async (n) => `${n}`, 4)
  expect((await results.next()).value).toBe('1')
  more()
  expect((await results.next()).value).toBe('2')
  expect((await results.next()).done).toBe(true)
})

test('nobody reads: nothing more is read than the window holds', async () => {
  let read = 0
  async function* counted() {
    for (;;) yield ++read
  }
  const results = inOrder(counted(), async (n) => `${n}`, 5)
  await results.next()
  await sleep(10)
  expect(read).toBeLessThanOrEqual(11)
  const before = read
  await sleep(10)
  expect(read).toBe(before)
  await results.return(undefined)
})

test('an input that breaks is told after the results before it', async () => {
  async function* broken() {
    yield 1
    throw new Error('cut')
  }
  const results = inOrder(broken(), async (n) => `${n}`, 4)
  expect((await results.next()).value).toBe('1')
  await expect(results.next()).rejects.toThrow('cut')
})

test('told to stop, it finishes what it has read, and does not wait for input', async () => {
  const stopping = new AbortController()
  async function* stalled() {
    yield* numbers(3)
    await new Promise(() => undefined)
  }
  const map = async (n: number) => {
    if (n === 2) setTimeout(() => stopping.abort(), 5)
    await sleep(n === 2 ? 10 : 0)
    return `${n}`
  }
  let text = ''
  for await (const part of inOrder(stalled(), map, 4, stopping.signal)) text += part
  expect(text).toBe('012')
})
