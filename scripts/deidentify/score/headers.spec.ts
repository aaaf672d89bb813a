import { expect, test } from 'vitest'
import { scoreHeaders } from './headers.js'

test('every planted identity is dealt with, in every category, and what must stay stays', () => {
  const scores = scoreHeaders(216)
  expect(scores.length).toBeGreaterThan(20)
  expect(scores.flatMap(({ category, failed }) => failed.map((place) => `${category}: ${place}`))).toEqual([])
  for (const { category, right, total } of scores) expect([category, right]).toEqual([category, total])
})
