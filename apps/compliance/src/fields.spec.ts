import { expect, test } from 'vitest'
import { AuditEventSearch, rangeOf } from './fhir/search.js'
import { NewHold } from './holds/hold.js'
import { decodePosition } from './page.js'
import { EntryFilters, EntryQuery } from './trail/query.js'

const ID = '01890a5d-ac96-774b-bcce-b302099a8057'
const UNKNOWN_TIMES = ['0000-01-01T00:00:00Z', '2026-01-01T00:00:00+23:59', '2026-01-01T00:00:00-16:00']
const UNSTORABLE = ['\0', 'a\0b', 'a\x1bb', 'a\x7f', '\ud800', 'a\udc00']

test.each(UNKNOWN_TIMES)(
  'no filter, hold or cursor takes the time %s, which the database does not know',
  (at) => {
    expect(EntryFilters.safeParse({ from: at }).success).toBe(false)
    expect(EntryFilters.safeParse({ to: at }).success).toBe(false)
    expect(NewHold.safeParse({ period: { from: at }, reason: 'Matter 7' }).success).toBe(false)
    const cursor = Buffer.from(JSON.stringify([at, ID])).toString('base64url')
    expect(() => decodePosition(cursor)).toThrow(/invalid|Not valid|request/i)
  },
)

test.each(UNSTORABLE)('no filter or hold takes the text %j, which the database cannot hold', (text) => {
  expect(EntryFilters.safeParse({ actor: text }).success).toBe(false)
  expect(EntryFilters.safeParse({ subject: text }).success).toBe(false)
  expect(AuditEventSearch.safeParse({ agent: text }).success).toBe(false)
  expect(NewHold.safeParse({ subject: text, reason: 'Matter 7' }).success).toBe(false)
})

test.each(UNSTORABLE)(
  'no hold, filter or search takes %j in a patient or a reason, and each names the field',
  (text) => {
    const refusals = [
      NewHold.safeParse({ patient: text, reason: 'Matter 7' }),
      EntryFilters.safeParse({ patient: text }),
      AuditEventSearch.safeParse({ patient: text }),
      NewHold.safeParse({ patient: 'P-1', reason: `Matter ${text} 7` }),
    ].map(({ error }) => error?.issues.map(({ path, message }) => [...path, message].join(': ')))
    const detail = 'must not hold control characters'
    expect(refusals).toEqual([...Array(3).fill([`patient: ${detail}`]), [`reason: ${detail}`]])
  },
)

test('takes characters outside of the first plane, and zones that there are', () => {
  const filters = { actor: '\u{1F600}', from: '2026-01-01T00:00:00.123456+14:00' }
  expect(EntryFilters.parse(filters)).toEqual(filters)
})

test.each(['2026-13-01', 'ge2026-02-31', '2026-11-25T25:00:00Z', 'ge0000-01-01', '2026-01-01T00:00Z+'])(
  'FHIR searches refuse the date %s',
  (date) => expect(AuditEventSearch.safeParse({ date }).success).toBe(false),
)

test.each(['gt9999-12-31', 'le9999-12-31', 'ge0001-01-01T00:00:00+10:00', '2026-01-01T10:00Z'])(
  'the range of the FHIR date %s has years of four digits',
  (date) => {
    expect(AuditEventSearch.safeParse({ date }).success).toBe(true)
    for (const bound of Object.values(rangeOf(date))) expect(bound).toMatch(/^(?!0000)\d{4}-/)
  },
)

test.each([
  ['2026-11-24', '2026-11-24T00:00:00.000Z', '2026-11-25T00:00:00.000Z'],
  ['2026-11-24T10:00Z', '2026-11-24T10:00:00.000Z', '2026-11-24T10:01:00.000Z'],
  ['eq2026-11-24T10:00:00Z', '2026-11-24T10:00:00.000Z', '2026-11-24T10:00:01.000Z'],
  ['2026-11-24T10:00:00.5Z', '2026-11-24T10:00:00.500Z', '2026-11-24T10:00:00.600Z'],
  ['2026-11-24T10:00:00.123456Z', '2026-11-24T10:00:00.123Z', '2026-11-24T10:00:00.124Z'],
])('the FHIR date %s means the whole of what it names', (date, from, to) => {
  expect(rangeOf(date)).toEqual({ from, to })
  const after = date.replace(/^eq/, '')
  expect(rangeOf(`gt${after}`)).toEqual({ from: to })
  expect(rangeOf(`le${after}`)).toEqual({ to })
})

test('a hold of a period needs a bound or a class, named at /period', () => {
  const refused = NewHold.safeParse({ period: {}, reason: 'Matter 7' })
  expect(refused.error?.issues.map(({ path }) => path)).toEqual([['period']])
  expect(NewHold.safeParse({ period: { class: 'phi' }, reason: 'Matter 7' }).success).toBe(true)
})

test.each([EntryFilters, EntryQuery])('filters that end before they begin are refused at /to', (filters) => {
  const [early, late] = ['2026-01-01T00:00:00Z', '2026-01-01T00:00:01Z']
  const refused = filters.safeParse({ from: late, to: early })
  expect(refused.error?.issues.map(({ path }) => path)).toEqual([['to']])
  expect(filters.safeParse({ from: early, to: late }).success).toBe(true)
})
