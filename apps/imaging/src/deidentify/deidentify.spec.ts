import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { deflateRawSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { shared } from '../../../../test/support/shared.js'
import { type Deidentified, deidentify } from './deidentify.js'
import { type Element, textOf } from './dicom/element.js'
import { DicomError } from './dicom/error.js'
import { parseInstance } from './dicom/parse.js'
import { encodeElement, encodeFile, encodeItem, paddedText } from './dicom/write.js'
import { contradiction, resolveAction, rowOf, TABLE_SIZE } from './profile.js'
import { shiftDate } from './values.js'

const LE = { explicit: true, littleEndian: true }
const BE = { explicit: true, littleEndian: false }
const IMPLICIT = { explicit: false, littleEndian: true }
const keys = { uid: Buffer.alloc(32, 1), patient: Buffer.alloc(32, 2), date: Buffer.alloc(32, 3) }
const order = { options: [], keys }
type Content = [tag: number, vr: string, value: string | Buffer | Content[][]]

function encode(content: Content[], encoding = LE): Buffer {
  return Buffer.concat(
    content.map(([tag, vr, value]) => {
      if (Array.isArray(value)) {
        return encodeElement(
          tag,
          vr,
          Buffer.concat(value.map((item) => encodeItem(encode(item, encoding), encoding))),
          encoding,
        )
      }
      return encodeElement(tag, vr, typeof value === 'string' ? paddedText(value, vr) : value, encoding)
    }),
  )
}

const SYNTAX = {
  le: '1.2.840.10008.1.2.1',
  implicit: '1.2.840.10008.1.2',
  be: '1.2.840.10008.1.2.2',
  deflated: '1.2.840.10008.1.2.1.99',
}
function file(content: Content[], transferSyntax = SYNTAX.le): Buffer {
  const encoding = transferSyntax === SYNTAX.be ? BE : transferSyntax === SYNTAX.implicit ? IMPLICIT : LE
  const frame = {
    dataset: Buffer.alloc(0),
    elements: [],
    meta: new Map([[0x00020002, Buffer.from('1.2.840.10008.5.1.4.1.1.2\0')]]),
    transferSyntax,
    encoding,
  }
  return encodeFile(
    { ...frame, deflated: transferSyntax === SYNTAX.deflated },
    '1.2.3',
    encode(content, encoding),
  )
}

const PHI: Content[] = [
  [0x00080005, 'CS', 'ISO_IR 192'],
  [0x00080016, 'UI', '1.2.840.10008.5.1.4.1.1.2'],
  [0x00080018, 'UI', '1.2.826.0.1.3680043.77.1'],
  [0x00080020, 'DA', '20240105'],
  [0x00080060, 'CS', 'CT'],
  [0x00080070, 'LO', 'ACME scanners of JANESDOTTIR'],
  [0x00080080, 'LO', 'Saint Elsewhere'],
  [0x00081030, 'LO', 'CT of JANESDOTTIR MRN 7654321'],
  [
    0x00081140,
    'SQ',
    [
      [
        [0x00081155, 'UI', '1.2.826.0.1.3680043.77.2'],
        [0x00081150, 'UI', '1.2.840.10008.5.1.4.1.1.2'],
      ],
    ],
  ],
  [0x00091001, 'LO', 'secret of JANESDOTTIR'],
  [0x00100010, 'PN', 'JANESDOTTIR^ANNA'],
  [0x00100020, 'LO', 'MRN7654321'],
  [0x00100030, 'DA', '19700203'],
  [0x00180015, 'CS', 'CHEST'],
  [
    0x00400275,
    'SQ',
    [
      [
        [0x00401001, 'SH', 'MRN7654321'],
        [0x00400008, 'SQ', [[[0x00080100, 'SH', 'X']]]],
      ],
    ],
  ],
  [
    0x00540016,
    'SQ',
    [
      [
        [0x00081030, 'LO', 'inner JANESDOTTIR'],
        [0x0009_0010, 'LO', 'PRIVATE'],
        [0x00180031, 'LO', 'FDG'],
      ],
    ],
  ],
  [0x00280010, 'US', Buffer.of(2, 0)],
  [0x7fe00010, 'OW', Buffer.from([1, 2, 3, 4, 5, 6, 7, 8])],
]
const clean = (result: Deidentified) => {
  if (result.kind !== 'clean') throw new Error(JSON.stringify(result))
  return result
}
const SECRETS = ['JANESDOTTIR', 'ANNA', '7654321', '19700203', '20240105', 'Elsewhere', '3680043', 'secret']

describe.each(Object.entries(SYNTAX))('an instance in transfer syntax %s', (name, syntax) => {
  const source = file(PHI, syntax)

  test('holds nothing of the patient afterwards, keeps the rest, says what was done', () => {
    const { bytes, report } = clean(deidentify(source, order))
    const instance = parseInstance(bytes)
    const content = Buffer.concat([instance.dataset, bytes.subarray(0, 400)]).toString('latin1')
    for (const secret of SECRETS) expect(content).not.toContain(secret)
    expect(instance.transferSyntax).toBe(syntax)
    expect(instance.elements.some(({ tag }) => ((tag >>> 16) & 1) === 1)).toBe(false)
    const text = (tag: number) => textOf(instance, tag)
    expect(text(0x00180015)).toBe('CHEST')
    expect(text(0x00080070)).toBe('ACME scanners of XXXXXXXXXXX')
    expect(text(0x00100010)).toMatch(/^V[0-9A-F]{15}$/)
    expect(text(0x00100020)).toBe(text(0x00100010))
    expect(text(0x00120062)).toBe('YES')
    expect(text(0x00280303)).toBe('REMOVED')
    expect(text(0x00080018)).toMatch(/^2\.25\.\d+$/)
    expect(instance.meta.get(0x00020003)?.toString().replace('\0', '')).toBe(text(0x00080018))
    const pixels = instance.elements.find(({ tag }) => tag === 0x7fe00010)!
    expect([...instance.dataset.subarray(pixels.valueStart, pixels.valueEnd)]).toEqual([
      1, 2, 3, 4, 5, 6, 7, 8,
    ])
    expect(report).toContainEqual({ path: '00400275', action: 'remove' })
    expect(report).toContainEqual({ path: '00081140[0].00081155', action: 'uid' })
    expect(JSON.stringify(report)).not.toMatch(/JANESDOTTIR|7654321/)
  })

  test('the preamble is cleared: nothing executable hides there', () => {
    const armed = Buffer.from(source)
    armed.write('MZ', 0)
    expect(
      clean(deidentify(armed, order))
        .bytes.subarray(0, 128)
        .every((byte) => byte === 0),
    ).toBe(true)
  })
  if (name === 'deflated') {
    test('a bomb is cut off', () => {
      const limits = { depth: 32, elements: 1000, inflatedBytes: 1_000_000 }
      const instance = { ...parseInstance(source), deflated: false }
      const bomb = encodeFile(instance, '1.2.3', deflateRawSync(Buffer.alloc(50_000_000)))
      expect(deidentify(bomb, { ...order, limits })).toMatchObject({
        kind: 'rejected',
        error: { code: 'inflated_too_large' },
      })
    })
  }
})

test('the same UID becomes the same everywhere; another key gives another', () => {
  const uidOf = (result: Deidentified) => textOf(parseInstance(clean(result).bytes), 0x00080018)
  const other = file([
    [0x00080016, 'UI', '1.2.840.10008.5.1.4.1.1.2'],
    [0x00080018, 'UI', '1.2.826.0.1.3680043.77.2'],
    [0x00081155, 'UI', '1.2.826.0.1.3680043.77.1'],
  ])
  const first = uidOf(deidentify(file(PHI), order))
  expect(textOf(parseInstance(clean(deidentify(other, order)).bytes), 0x00081155)).toBe(first)
  expect(uidOf(deidentify(file(PHI), { ...order, keys: { ...keys, uid: Buffer.alloc(32, 9) } }))).not.toBe(
    first,
  )
})

test('modified dates keep the intervals of one patient', () => {
  const on = (date: string) => {
    const content = PHI.map((entry): Content => (entry[0] === 0x00080020 ? [0x00080020, 'DA', date] : entry))
    const result = deidentify(file(content), { options: ['retain-longitudinal-modified-dates'], keys })
    const text = textOf(parseInstance(clean(result).bytes), 0x00080020)!
    return Date.UTC(Number(text.slice(0, 4)), Number(text.slice(4, 6)) - 1, Number(text.slice(6)))
  }
  expect(on('20240301') - on('20240105')).toBe(Date.UTC(2024, 2, 1) - Date.UTC(2024, 0, 5))
  expect(on('20240105')).toBeLessThan(Date.UTC(2024, 0, 5))
  expect(shiftDate('20240229101500.5', 'DT', 366)).toBe('20230228101500.5')
  expect(contradiction(['retain-longitudinal-full-dates', 'retain-longitudinal-modified-dates'])).toMatch(
    /exclude/,
  )
})

test.each([
  ['burned-in text is declared', [[0x00280301, 'CS', 'YES']], 'burned_in_text_possible'],
  ['an ultrasound does not say that it has none', [[0x00080060, 'CS', 'US']], 'burned_in_text_possible'],
  ['a document is inside', [[0x00420011, 'OB', Buffer.from('%PDF')]], 'encapsulated_document'],
  [
    'an identifier hides in a value that is not text',
    [[0x00189998, 'OB', Buffer.from(' JANESDOTTIR')]],
    'identifier_left',
  ],
] as [string, Content[], string][])('quarantined where %s', (_case, extra, reason) => {
  const content = [...PHI.filter(([tag]) => !extra.some(([other]) => other === tag)), ...extra].sort(
    ([a], [b]) => a - b,
  )
  expect(deidentify(file(content), order)).toMatchObject({ kind: 'quarantined', reason })
})

describe('hostile input is refused with its place, fast', () => {
  const truncated = file(PHI).subarray(0, -3)
  const deep = (levels: number): Content[] =>
    levels === 0 ? [[0x00080060, 'CS', 'CT']] : [[0x00400275, 'SQ', [deep(levels - 1)]]]
  test.each([
    ['not DICOM', Buffer.from('%PDF-1.7 not an image at all, but long enough to look at'), 'not_dicom'],
    ['nothing', Buffer.alloc(0), 'not_dicom'],
    ['cut', truncated, 'invalid_length'],
    ['nested 200 deep', file(deep(200)), 'too_deep'],
    [
      'a length past the end',
      Buffer.concat([
        file([[0x00080060, 'CS', 'CT']]),
        Buffer.from([0xe0, 0x7f, 0x10, 0, 0x4f, 0x57, 0, 0, 0xff, 0xff, 0xff, 0x7f, 1, 2]),
      ]),
      'invalid_length',
    ],
    [
      'an unknown VR',
      Buffer.concat([
        file([[0x00080060, 'CS', 'CT']]),
        Buffer.from([0x10, 0, 0x10, 0, 0x5a, 0x5a, 2, 0, 65, 65]),
      ]),
      'invalid_vr',
    ],
  ])('%s', (_case, bytes, code) => {
    const result = deidentify(Buffer.from(bytes), order)
    expect(result.kind).toBe('rejected')
    expect(result.kind === 'rejected' && result.error.code).toBe(code)
  })

  test('a file of changed bits never does anything but parse or fail cleanly', () => {
    const source = file(PHI)
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(source.length - 1), fc.nat(255)), { minLength: 1, maxLength: 8 }),
        fc.nat(source.length),
        (changes, cut) => {
          const bytes = Buffer.from(source.subarray(0, source.length - (cut % 64)))
          for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value
          expect(['clean', 'quarantined', 'rejected']).toContain(deidentify(bytes, order).kind)
        },
      ),
      { numRuns: 2000 },
    )
  })
})

const e11 = shared('data/ps315/ps315-e1-1.json')
test.skipIf(!e11)('the table is that of PS3.15 2026c, row by row', () => {
  const document = JSON.parse(readFileSync(e11!, 'utf8')) as Record<string, unknown>
  const rows = Object.values(document).find((value) => Array.isArray(value) && value.length > 600) as Record<
    string,
    string
  >[]
  expect(TABLE_SIZE).toBe(656)
  const letters = {
    rtnUIDsOpt: 'U',
    rtnDevIdOpt: 'D',
    rtnInstIdOpt: 'I',
    rtnPatCharsOpt: 'P',
    rtnLongFullDatesOpt: 'F',
    rtnLongModifDatesOpt: 'M',
    cleanDescOpt: 'C',
    cleanStructContOpt: 'T',
    cleanGraphOpt: 'G',
    rtnSafePrivOpt: 'S',
  }
  for (const row of rows) {
    const text = row.tag!.includes('gggg') ? '00090010' : row.tag!.replace(/[(),]/g, '').replaceAll('x', '0')
    const found = rowOf(Number.parseInt(text, 16))
    expect(found?.basic, row.tag).toBe(row.basicProfile)
    for (const [name, letter] of Object.entries(letters))
      expect(found?.options.get(letter), `${row.tag} ${name}`).toBe(row[name])
  }
  expect(resolveAction(0x60023000, [], false)).toEqual({ action: 'remove' })
  expect(resolveAction(0x00180060, [], false)).toBeUndefined()
})

const corpus = shared('data/dicom')
const corpusFiles = corpus ? readdirSync(corpus).filter((name) => name.endsWith('.dcm')) : []
test.skipIf(!corpus)(
  'every public file is cleaned, quarantined or rejected, and the pixels of clean ones are theirs',
  () => {
    const kinds = { clean: 0, quarantined: 0, rejected: 0 }
    for (const name of corpusFiles) {
      const source = readFileSync(join(corpus!, name))
      const result = deidentify(source, order)
      kinds[result.kind]++
      if (result.kind !== 'clean') continue
      const pixels = (bytes: Buffer) => {
        const { dataset, elements } = parseInstance(bytes)
        const element = elements.find(({ tag }) => tag === 0x7fe00010) as Element | undefined
        return element ? dataset.subarray(element.valueStart, element.valueEnd) : Buffer.alloc(0)
      }
      expect(pixels(result.bytes).equals(pixels(source)), name).toBe(true)
    }
    expect(kinds.clean).toBeGreaterThan(80)
    expect(kinds.rejected).toBeLessThan(10)
  },
)

test.skipIf(!corpus)('cut anywhere, a public file is read or refused, never worse', () => {
  for (const name of corpusFiles) {
    const source = readFileSync(join(corpus!, name))
    if (source.length > 300_000) continue
    for (let part = 1; part < 8; part++) {
      try {
        parseInstance(source.subarray(0, Math.floor((source.length * part) / 8)))
      } catch (error) {
        expect(error, name).toBeInstanceOf(DicomError)
      }
    }
  }
})

const python = process.env.VIGIL_PYTHON ?? 'python3'
const hasPydicom = spawnSync(python, ['-c', 'import pydicom']).status === 0
if (corpus && !hasPydicom)
  console.warn('skipped: pydicom is not installed (apt-get install python3-pydicom, or set VIGIL_PYTHON)')
test.skipIf(!corpus || !e11 || !hasPydicom)(
  'another implementation (pydicom) finds nothing left and nothing lost',
  () => {
    const out = mkdtempSync(join(tmpdir(), 'vigil-deidentified-'))
    let written = 0
    for (const name of corpusFiles) {
      const result = deidentify(readFileSync(join(corpus!, name)), order)
      if (result.kind !== 'clean') continue
      writeFileSync(join(out, name), result.bytes)
      written++
    }
    const check = spawnSync(python, ['test/conformance/pydicom_check.py', corpus!, out, e11!], {
      encoding: 'utf8',
    })
    expect(check.stderr).toBe('')
    const found = JSON.parse(check.stdout)
    expect(found.files + found.source_unreadable).toBe(written)
    expect(found).toMatchObject({
      values_kept: [],
      private_left: 0,
      uids_kept: 0,
      uid_conflicts: 0,
      unreadable: [],
      pixels_changed: [],
      unlisted_lost: [],
      marked: found.files,
    })
  },
  120_000,
)
