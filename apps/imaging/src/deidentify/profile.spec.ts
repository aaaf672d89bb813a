import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { type Content, fileOf } from '../../../../test/support/dicom.js'
import { shared } from '../../../../test/support/shared.js'
import { attributeType } from './attribute-type.js'
import { deidentify } from './deidentify.js'
import { standardVr } from './dicom/dictionary.js'
import { bytesOf, type Element, type Instance, tagName } from './dicom/element.js'
import { parseInstance } from './dicom/parse.js'
import { contradiction, OPTION_NAMES, OPTIONS, type Option } from './options.js'
import { type ActionCode, codeForType, Profile, rowOf, TABLE_SIZE } from './profile.js'

const CT = '1.2.840.10008.5.1.4.1.1.2'
const keys = { uid: Buffer.alloc(32, 1), patient: Buffer.alloc(32, 2), date: Buffer.alloc(32, 3) }

interface Row {
  name: string
  tag: string
  basicProfile: ActionCode
  [column: string]: string
}
const COLUMNS: Record<Option, string> = {
  'retain-safe-private': 'rtnSafePrivOpt',
  'retain-uids': 'rtnUIDsOpt',
  'retain-device-identity': 'rtnDevIdOpt',
  'retain-institution-identity': 'rtnInstIdOpt',
  'retain-patient-characteristics': 'rtnPatCharsOpt',
  'retain-longitudinal-full-dates': 'rtnLongFullDatesOpt',
  'retain-longitudinal-modified-dates': 'rtnLongModifDatesOpt',
  'clean-descriptors': 'cleanDescOpt',
  'clean-structured-content': 'cleanStructContOpt',
  'clean-graphics': 'cleanGraphOpt',
}
const source = shared('data/ps315/ps315-e1-1.json')
const rows: Row[] = source ? JSON.parse(readFileSync(source, 'utf8')).attributes : []
const tagOf = ({ tag }: Row): number => Number.parseInt(tag.replace(/[(),]/g, '').replaceAll('x', '0'), 16)
const concrete = rows.filter(({ tag }) => /^\([0-9A-F]{4},[0-9A-F]{4}\)$/.test(tag))

/** A word of its own for each attribute, so that none is cleaned because of another. */
const word = (tag: number): string =>
  'QU' +
  createHash('sha256')
    .update(String(tag))
    .digest('hex')
    .slice(0, 10)
    .replace(/\d/g, (d) => 'GHIJKLMNOP'[Number(d)]!)
    .toUpperCase()

/** A value of each VR that an identity could hide in. */
const VALUES: Record<string, string | Buffer> = {
  AS: '077Y',
  DA: '20240517',
  DS: '77.5',
  DT: '20240517101112',
  IS: '77',
  TM: '101112',
  UI: '1.2.826.0.1.3680043.99.7',
  UR: 'http://quux.example/',
  PN: 'QUUXFAMILY^GIVEN',
  OB: Buffer.from('QUUXBYTES!'),
  US: Buffer.of(7, 0),
  UN: Buffer.from('QUUXBYTES!'),
}
const INNER: Content[] = [
  [0x00081155, 'UI', '1.2.826.0.1.3680043.99.8'],
  [0x00100010, 'PN', 'QUUXNESTED^GIVEN'],
]
function content(tag: number): Content {
  const vr = standardVr(tag) ?? 'UN'
  if (vr === 'AE' || vr === 'CS' || vr === 'SH') return [tag, vr, word(tag)]
  return [tag, vr, vr === 'SQ' ? [INNER] : (VALUES[vr] ?? `CHEST for ${word(tag)}`)]
}
const BASE: Content[] = [[0x00080016, 'UI', CT]]

/** One instance with every attribute of the table; documents are another test's. */
const everything = fileOf(
  [
    ...BASE,
    ...concrete
      .map(tagOf)
      .filter((tag) => tag !== 0x00420011)
      .map(content),
  ].sort(([a], [b]) => a - b),
)
const before = source ? parseInstance(everything) : undefined

function cleaned(options: Option[]): Map<number, { element: Element; instance: Instance }> {
  const result = deidentify(everything, { options, keys, policies: { uncheckedPixels: 'pass' } })
  if (result.kind !== 'clean') throw new Error(JSON.stringify(result))
  const instance = parseInstance(result.bytes)
  return new Map(instance.elements.map((element) => [element.tag, { element, instance }]))
}

/** What the table asks for under these options, with its conditional codes resolved for CT by the module tables. */
function expected(row: Row, options: Option[]): string {
  for (const code of ['C', 'K'])
    for (const option of options) if (row[COLUMNS[option]] === code) return `${code} by ${option}`
  return codeForType(row.basicProfile, attributeType(tagOf(row), { sopClass: CT }))
}

const bytesIn = ({ element, instance }: { element: Element; instance: Instance }) =>
  bytesOf(instance.dataset, element)
const originalOf = (tag: number) =>
  bytesOf(before!.dataset, before!.elements.find((element) => element.tag === tag)!)

/** Whether what became of an attribute is what a code asks for; says what is wrong. */
function fault(
  tag: number,
  code: string,
  found: { element: Element; instance: Instance } | undefined,
  keepsUids: boolean,
): string {
  const original = originalOf(tag)
  const vr = standardVr(tag) ?? 'UN'
  if (code === 'X') return found ? 'is still there' : ''
  if (!found) return 'is gone'
  const value = bytesIn(found)
  const same = value.equals(original)
  if (code.startsWith('K')) return same || vr === 'SQ' ? '' : `was changed to ${value}`
  if (vr === 'SQ') {
    const holds = value.includes('QUUXNESTED') || (value.includes('3680043') && !keepsUids)
    return holds ? 'holds what it held' : ''
  }
  if (same) return 'is as it was'
  if (value.includes('QUUX') || value.includes(word(tag))) return 'holds what it held'
  if (code === 'Z')
    return value.length === 0 || tag === 0x00100010 || tag === 0x00100020 ? '' : 'is not empty'
  if (code === 'U') return value.toString().startsWith('2.25.') ? '' : 'is no derived UID'
  if (code.includes('modified-dates')) {
    return vr === 'OB' || /^20[12]\d{5}/.test(value.toString()) ? '' : `is no moved date: ${value}`
  }
  if (code.startsWith('C') && ['LO', 'LT', 'ST', 'UT'].includes(vr))
    return value.toString().trim() === 'CHEST for' ? '' : `is ${value}`
  return value.length > 0 ? '' : 'is empty'
}

/** Times of day stay when dates move, and the offset that they are counted from. */
const keepsTime = (tag: number, code: string) =>
  code.includes('modified-dates') && (standardVr(tag) === 'TM' || tag === 0x00080201)
/** AE titles stay with Retain Device where nothing in them tells of a person or a place. */
const keepsName = (tag: number, code: string) => code.startsWith('C') && standardVr(tag) === 'AE'
const DOCUMENT = 0x00420011

describe.skipIf(!source)('table E.1-1 of PS3.15 2026c', () => {
  test('is whole: every row, every column', () => {
    expect(TABLE_SIZE).toBe(656)
    for (const row of rows) {
      const found = rowOf(row.tag.includes('gggg') ? 0x00091001 : tagOf(row))
      expect(found?.basic, row.tag).toBe(row.basicProfile)
      for (const option of OPTION_NAMES)
        expect(found?.options.get(OPTIONS[option]), `${row.tag} ${option}`).toBe(row[COLUMNS[option]])
    }
  })

  test.each<[string, Option[]]>([
    ['the Basic Profile', []],
    ...OPTION_NAMES.map((option): [string, Option[]] => [option, [option]]),
    [
      'everything retained, dates moved',
      OPTION_NAMES.filter((name) => name !== 'retain-longitudinal-full-dates'),
    ],
    [
      'everything retained, dates kept',
      OPTION_NAMES.filter((name) => name !== 'retain-longitudinal-modified-dates'),
    ],
  ])('is carried out row by row under %s', (_name, options) => {
    const after = cleaned(options)
    const faults = concrete.flatMap((row) => {
      const tag = tagOf(row)
      const code = expected(row, options)
      if (tag === DOCUMENT || keepsTime(tag, code) || keepsName(tag, code)) return []
      const found = fault(tag, code, after.get(tag), options.includes('retain-uids'))
      return found ? [`${row.tag} ${row.name} (${code}) ${found}`] : []
    })
    expect(faults).toEqual([])
  })

  test('an attribute that is in no row stays, byte for byte', () => {
    const kept: Content[] = [
      [0x00180015, 'CS', 'CHEST'],
      [0x00180050, 'DS', '1.25'],
      [0x00281050, 'DS', '40\\50'],
      [0x00540081, 'US', Buffer.of(3, 0)],
    ]
    const result = deidentify(fileOf([...BASE, ...kept]), { options: [], keys })
    if (result.kind !== 'clean') throw new Error(result.kind)
    const after = parseInstance(result.bytes)
    for (const [tag, , value] of kept) {
      const element = after.elements.find((candidate) => candidate.tag === tag)!
      expect(bytesOf(after.dataset, element).toString('latin1').trimEnd(), tagName(tag)).toBe(
        value.toString('latin1' as never),
      )
    }
  })

  test.each([
    ['CT', '1.2.840.10008.5.1.4.1.1.2', 'remove', 'remove'],
    ['Enhanced CT', '1.2.840.10008.5.1.4.1.1.2.1', 'dummy', 'dummy'],
    ['a class that no table knows', '1.2.3.4', 'dummy', 'dummy'],
  ])('conditional codes follow the type of the attribute in %s', (_name, sopClass, serial, acquired) => {
    const profile = new Profile([])
    const action = (tag: number, parent?: number) =>
      profile.resolve(tag, { sopClass, ...(parent ? { parent } : {}) })?.action
    expect(action(0x00181000)).toBe(serial)
    expect(action(0x0008002a)).toBe(acquired)
    // Patient ID: type 2 at the top, type 1 among the other IDs.
    if (sopClass !== '1.2.3.4') expect(action(0x00100020)).toBe('empty')
    expect(action(0x00100020, 0x00101002)).toBe('dummy')
  })
})

test('options that exclude each other, or that nobody knows, are refused with a reason', () => {
  expect(contradiction(['retain-longitudinal-full-dates', 'retain-longitudinal-modified-dates'])).toMatch(
    /exclude each other/,
  )
  expect(contradiction(['retain-everything' as Option])).toMatch(/not an option/)
  for (const first of OPTION_NAMES)
    for (const second of OPTION_NAMES) {
      const dates =
        first !== second && [first, second].every((name) => name.startsWith('retain-longitudinal'))
      expect(contradiction([first, second]) !== undefined, `${first} ${second}`).toBe(dates)
    }
  expect(() =>
    deidentify(fileOf(BASE), {
      options: ['retain-longitudinal-full-dates', 'retain-longitudinal-modified-dates'],
      keys,
    }),
  ).toThrow(/exclude/)
})
