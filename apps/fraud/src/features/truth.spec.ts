import fc from 'fast-check'
import { expect, test } from 'vitest'
import { decodeTruth, emptyTruth, encodeTruth, type Label, labelAt, relabelled, truthAt } from './truth.js'
import { DAY_MS, HOUR_MS, LATEST_LABELLED } from './windows.js'

const START = Date.parse('2026-03-01T00:00:00Z')
const hour = (at: number) => Math.floor(at / HOUR_MS)

interface Story {
  tx: number
  event: number
  labels: Label[]
}

/** The truth straight from its definition. */
function naive(stories: Story[], at: number) {
  const known = stories
    .map(({ labels, ...payment }) => ({ ...payment, label: labelAt(labels, at) }))
    .filter(({ label, event }) => label && hour(event) >= hour(at - 30 * DAY_MS) && hour(event) <= hour(at))
    .sort((a, b) => b.event - a.event || b.tx - a.tx)
  const newest = known.slice(0, LATEST_LABELLED)
  const genuine = newest.findIndex(({ label }) => !label!.fraud)
  const streak = genuine < 0 ? newest.length : genuine
  return {
    labelled: known.length,
    frauds: known.filter(({ label }) => label!.fraud).length,
    streak,
    latest: newest.length,
    latestFrauds: newest.filter(({ label }) => label!.fraud).length,
    ...(streak > 0 ? { streakSince: newest[streak - 1]!.event } : {}),
  }
}

const minutes = (days: number) => fc.nat(days * 24 * 60).map((n) => n * 60_000)
/** Labels in the order in which they are recorded: what is recorded later may have been known earlier. */
const changes = fc.array(fc.record({ tx: fc.nat(30), after: minutes(12), fraud: fc.boolean() }), {
  minLength: 1,
  maxLength: 80,
})
const events = fc.array(minutes(30), { minLength: 31, maxLength: 31 })

test('known at T is what was learnt by T, in whatever order it was recorded, through bytes and back', () => {
  fc.assert(
    fc.property(events, changes, fc.array(minutes(45), { maxLength: 5 }), (at, labels, times) => {
      const stories = at.map((event, tx): Story => ({ tx, event: START + event, labels: [] }))
      let state = emptyTruth()
      for (const { tx, after, fraud } of labels) {
        const story = stories[tx]!
        const before = story.labels
        story.labels = [...before, { at: story.event + after, fraud }]
        state = relabelled(state, [{ payment: story, before, after: story.labels }])
        state = decodeTruth(encodeTruth(state))
      }
      for (const time of times) expect(truthAt(state, START + time)).toEqual(naive(stories, START + time))
    }),
  )
})

test('labels without number are summed: the truth stays the same from the horizon on, and is not told before it', () => {
  const stories: Story[] = []
  let state = emptyTruth()
  for (let n = 0; n < 6_000; n++) {
    const event = START + n * 6 * 60_000
    const story = { tx: n, event, labels: [{ at: event + DAY_MS, fraud: n % 97 < 3 }] }
    stories.push(story)
    state = relabelled(state, [{ payment: story, before: [], after: story.labels }])
  }
  // A truth that is summed already is taken back, and one of the newest.
  for (const n of [3_000, 5_990]) {
    const story = stories[n]!
    const before = story.labels
    story.labels = [...before, { at: stories.at(-1)!.labels[0]!.at, fraud: !before[0]!.fraud }]
    state = relabelled(state, [{ payment: story, before, after: story.labels }])
  }
  expect(state.horizon).toBeGreaterThan(START)
  expect(state.records.length).toBeLessThanOrEqual(2_048)
  const last = stories.at(-1)!.labels[0]!.at
  for (const at of [state.horizon, state.horizon + 1, last - HOUR_MS, last, last + 3 * DAY_MS])
    expect(truthAt(state, at)).toEqual(naive(stories, at))
  expect(truthAt(state, state.horizon - 1)).toMatchObject({ labelled: 0, frauds: 0, latest: 0 })
})

test('many labels at once are as many one by one', () => {
  const stories = Array.from(
    { length: 3_000 },
    (_, n): Story => ({
      tx: n,
      event: START + (n * HOUR_MS) / 10,
      labels: [{ at: START + (n * HOUR_MS) / 10 + DAY_MS, fraud: n % 5 === 0 }],
    }),
  )
  const all = stories.map((story) => ({ payment: story, before: [], after: story.labels }))
  const together = relabelled(emptyTruth(), all)
  const apart = all.reduce((state, change) => relabelled(state, [change]), emptyTruth())
  const at = stories.at(-1)!.labels[0]!.at
  expect(truthAt(together, at)).toEqual(truthAt(apart, at))
  expect(truthAt(together, at)).toEqual(naive(stories, at))
})
