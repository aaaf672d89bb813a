import { parse } from 'csv-parse/sync'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { TrailEntry } from '../trail/entry.js'
import { csvCell, csvHeader, csvRecord } from './csv.js'

const entry = (id: string, details: Record<string, string>): TrailEntry => ({
  ...{ id: '01890a5d-ac96-774b-bcce-b302099a8057', recorded_at: '2026-01-01T00:00:00.000000Z', log_index: 7 },
  ...{
    tenant: 'default',
    service: 'fraud',
    actor: { type: 'client', id },
    action: 'X_Y',
    outcome: 'success',
  },
  ...{ correlation_id: '01890a5d-ac96-774b-bcce-b302099a8057', details },
})
const hostile = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc
    .tuple(fc.constantFrom('=', '+', '-', '@', '\t', '\r', '\n', ' =', '\uff1d', '"=', ',='), fc.string())
    .map((p) => p.join('')),
)

test('whatever stands in a cell, a reader of RFC 4180 gets it back, and no spreadsheet takes it for a formula', () => {
  fc.assert(
    fc.property(hostile, hostile, (id, note) => {
      const [record] = parse(csvHeader() + csvRecord(entry(id, { note })), { columns: true }) as [
        Record<string, string>,
      ]
      const cell = record.actor_id!
      expect(cell === id || cell === `'${id}`).toBe(true)
      expect(cell).not.toMatch(/^[\s\0]*[=+\-@\uff1d\uff0b\uff0d\uff20]/)
      expect(JSON.parse(record.details!)).toEqual({ note })
    }),
  )
})

test.each([
  ['=1+1', "'=1+1"],
  [' =1+1', "' =1+1"],
  ['\t=1', "'\t=1"],
  ['+44', "'+44"],
  ['a=b', 'a=b'],
  ['say "hi", twice', '"say ""hi"", twice"'],
  [undefined, ''],
  [7, '7'],
])('%j is written %j', (value, cell) => {
  expect(csvCell(value)).toBe(cell)
})
