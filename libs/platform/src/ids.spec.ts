import { expect, test, vi } from 'vitest'
import { isUuid, newId } from './ids.js'

test('ids are UUIDv7 of this moment, no two alike, in the order in which they were made', () => {
  const before = Date.now()
  const ids = Array.from({ length: 20_000 }, newId)
  expect(new Set(ids).size).toBe(ids.length)
  expect(ids.toSorted()).toEqual(ids)
  for (const id of ids) if (!isUuid(id) || !/^.{14}7.{4}[89ab]/.test(id)) throw new Error(id)
  const at = Number.parseInt(ids[0]!.replace('-', '').slice(0, 12), 16)
  expect(at).toBeGreaterThanOrEqual(before)
  expect(at).toBeLessThanOrEqual(Date.now() + 1)
})

test('a clock that is set back does not break the order', () => {
  const first = newId()
  vi.useFakeTimers({ now: Date.now() - 60_000 })
  const second = newId()
  vi.useRealTimers()
  expect(second > first).toBe(true)
})

test('the random part of ids differs in every bit', () => {
  const tails = Array.from({ length: 2_000 }, () => BigInt(`0x${newId().slice(24)}`))
  expect(tails.reduce((all, tail) => all | tail)).toBe(2n ** 48n - 1n)
  expect(tails.reduce((all, tail) => all & tail)).toBe(0n)
  expect(new Set(tails).size).toBe(tails.length)
})
