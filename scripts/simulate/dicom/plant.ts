import { type Random, seededRandom } from '../random.js'
import { type Content, type Syntax, writeDicom } from './write.js'

/** One thing that de-identification must do to an instance, and how to tell that it was done. */
export interface Task {
  category: string
  /** Tag path, for the list of what failed. */
  place: string
  /** Bytes of which no run of six may be left; or bytes that must still be there. */
  gone?: Buffer
  /** Only the whole of it counts: a moved date may share digits with what it was. */
  whole?: true
  kept?: Buffer
}

export interface PlantedInstance {
  bytes: Buffer
  tasks: Task[]
}

/** Names as their character sets write them: defined term of (0008,0005), and the encoded name. */
const NAMES: readonly [set: string, term: string, name: Buffer][] = [
  ['ASCII', 'ISO_IR 6', Buffer.from('HOLLINGSWORTH^BARTHOLOMEW')],
  ['UTF-8', 'ISO_IR 192', Buffer.from('Bj\u00f6rnsd\u00f3ttir^\u017deljka')],
  ['Latin 1', 'ISO_IR 100', Buffer.from('M\u00fcllerhausen^Fran\u00e7oise', 'latin1')],
  ['Latin 2', 'ISO_IR 101', Buffer.from('4b6f76e1f86f76e15e4c756469ee6b61', 'hex')],
  ['Cyrillic', 'ISO_IR 144', Buffer.from('b8d2d0ddded25ebfd5e2e0', 'hex')],
  ['Greek', 'ISO_IR 126', Buffer.from('d0e1f0e1e4fcf0eff5ebeff25ec3e9fef1e3eff2', 'hex')],
  ['GB18030', 'GB18030', Buffer.from('cdf5d0a1b6ab5ec3f7bbaacafd', 'hex')],
  ['Korean', '\\ISO 2022 IR 149', Buffer.from('1b242943c8abb1e6b5bf5e1b242943b1e6b5bfc8ab', 'hex')],
  [
    'Japanese',
    '\\ISO 2022 IR 87',
    Buffer.from('Yamamoto^Tarouemon=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B', 'latin1'),
  ],
]
/** Attributes that no table lists, one of each VR that holds text: they stay, and so they are searched. */
const UNLISTED: readonly [tag: number, vr: string][] = [
  [0x00080070, 'LO'],
  [0x0018115e, 'DS'],
  [0x00189995, 'LT'],
  [0x00189998, 'UN'],
  [0x00189999, 'UT'],
  [0x0040a160, 'UT'],
  [0x00400280, 'ST'],
  [0x00181020, 'LO'],
  [0x00189996, 'UC'],
]
/** Attributes of the table that hold text: descriptions, comments, names of places and machines. */
const LISTED: readonly [tag: number, vr: string][] = [
  [0x00081030, 'LO'],
  [0x0008103e, 'LO'],
  [0x00081040, 'LO'],
  [0x00102000, 'LO'],
  [0x00104000, 'LT'],
  [0x00181030, 'LO'],
  [0x00204000, 'LT'],
  [0x00324000, 'LT'],
]
const DATE_FORMS = [
  (y: string, m: string, d: string) => `${y}${m}${d}`,
  (y: string, m: string, d: string) => `${y}-${m}-${d}`,
  (y: string, m: string, d: string) => `${m}/${d}/${y}`,
  (y: string, m: string, d: string) => `${d}.${m}.${y}`,
]

const evenly = (bytes: Buffer): Buffer =>
  bytes.length % 2 ? Buffer.concat([bytes, Buffer.from(' ')]) : bytes
const tagText = (tag: number): string => tag.toString(16).padStart(8, '0')
const join = (...parts: (string | Buffer)[]): Buffer =>
  evenly(Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part, 'latin1') : part))))

/** The parts of a name that are long enough to tell of somebody. */
const partsOf = (name: Buffer): Buffer[] =>
  name
    .toString('latin1')
    .split(/[=^]/)
    .map((part) => Buffer.from(part, 'latin1'))
    .filter(({ length }) => length >= 6)

class Planter {
  readonly tasks: Task[] = []
  readonly content: Content[] = []

  gone(category: string, place: string, ...values: (string | Buffer)[]): void {
    for (const value of values)
      this.tasks.push({ category, place, gone: Buffer.from(value as string, 'latin1') })
  }

  put(tag: number, vr: string, value: string | Buffer | number | Content[][]): void {
    this.content.push([tag, vr, Buffer.isBuffer(value) ? evenly(value) : value])
  }

  kept(category: string, tag: number, vr: string, value: string): void {
    this.put(tag, vr, value)
    this.tasks.push({ category, place: tagText(tag), kept: Buffer.from(value) })
  }
}

const digits = (random: Random, count: number): string =>
  Array.from({ length: count }, () => 1 + random.below(9)).join('')

function nested(depth: number, inner: Content[]): Content {
  const items = depth === 1 ? inner : [nested(depth - 1, inner)]
  return [0x00540016, 'SQ', [items]]
}

/** An instance with identities of every kind (those of the MIDI-B challenge) in every kind of place, from a seed. */
export function plantInstance(seed: number, syntax: Syntax = 'explicit-le'): PlantedInstance {
  const random = seededRandom(seed)
  const plan = new Planter()
  const [set, term, name] = NAMES[seed % NAMES.length]!
  const [first] = name
    .toString('latin1')
    .split('=')
    .map((group) => Buffer.from(group.split('^')[0]!, 'latin1'))
  const id = `MRN${digits(random, 8)}`
  const accession = digits(random, 9)
  const serial = `SN${digits(random, 7)}`
  const [y, m, d] = [`${1950 + random.below(50)}`, `${10 + random.below(3)}`, `${10 + random.below(18)}`]
  const root = `1.2.826.0.1.3680043.10.${digits(random, 6)}`
  const [unlistedTag, unlistedVr] = UNLISTED[Math.floor(seed / NAMES.length) % UNLISTED.length]!
  const [listedTag, listedVr] = LISTED[seed % LISTED.length]!

  plan.put(0x00080005, 'CS', term)
  plan.put(0x00080016, 'UI', '1.2.840.10008.5.1.4.1.1.2')
  for (const [tag, suffix] of [
    [0x00080018, 3],
    [0x0020000d, 1],
    [0x0020000e, 2],
    [0x00200052, 4],
  ] as const) {
    plan.put(tag, 'UI', `${root}.${suffix}`)
    plan.gone('UIDs', tagText(tag), `${root}.${suffix}`)
  }
  plan.put(0x00080020, 'DA', `${y}${m}${d}`)
  plan.put(0x00100030, 'DA', `${y}${m}${d}`)
  plan.tasks.push({
    category: 'dates in their attributes',
    place: '00100030',
    gone: Buffer.from(`${y}${m}${d}`),
    whole: true,
  })
  plan.put(0x00080050, 'SH', accession)
  plan.put(0x00100020, 'LO', id)
  plan.gone('IDs in their attributes', '00100020', accession, id)
  plan.put(0x00080080, 'LO', 'Quillfeather Infirmary')
  plan.put(0x00181000, 'LO', serial)
  plan.gone('institutions and devices', '00080080', 'Quillfeather', serial)
  plan.put(0x00100010, 'PN', name)
  plan.gone(`names in ${set}`, '00100010', ...partsOf(name))

  const free = join('scan of ', first!, `, no. ${id}`)
  plan.put(listedTag, listedVr, free)
  plan.gone('free text that is listed', tagText(listedTag), first!, id)
  plan.put(unlistedTag, unlistedVr, free)
  plan.gone(`text of VR ${unlistedVr} that stays`, tagText(unlistedTag), first!, id)
  const written = DATE_FORMS[seed % DATE_FORMS.length]!(y, m, d)
  plan.put(0x00281055, 'LO', `window of ${written}`)
  plan.gone('dates in free text', '00281055', written)
  plan.put(0x00181008, 'LO', `${serial}`)
  plan.put(0x00400009, 'SH', id)
  plan.put(0x00090010, 'LO', 'VIGIL PHANTOM')
  plan.put(0x00091001, 'LO', join('of ', first!))
  plan.put(0x00091002, 'OB', join(id, ' ', accession))
  plan.gone('private elements', '00091001', first!, id, accession)
  const depth = 1 + random.below(6)
  plan.content.push(
    nested(depth, [
      [0x00080080, 'LO', 'Quillfeather Infirmary'],
      [0x00081155, 'UI', `${root}.9`],
      [0x00100020, 'LO', id],
      [0x00189995, 'LT', evenly(Buffer.concat([Buffer.from('for '), first!]))],
    ]),
  )
  plan.gone('nested elements', `00540016 x ${depth}`, first!, id, `${root}.9`, 'Quillfeather')
  plan.put(0x60000010, 'US', 2)
  plan.put(0x60003000, 'OW', join(id, '  '))
  plan.gone('curves, overlays, padding', '60003000', id)
  plan.put(0xfffcfffc, 'OB', join('PADDING ', id))

  plan.kept('what must stay', 0x00080060, 'CS', 'CT')
  plan.kept('what must stay', 0x00180015, 'CS', 'ABDOMEN')
  plan.kept('what must stay', 0x00180050, 'DS', '1.25')
  plan.kept('what must stay', 0x00181210, 'SH', 'B31f')
  plan.kept('what must stay', 0x00281050, 'DS', '40')
  const pixels = Buffer.from(Array.from({ length: 64 }, () => random.below(256)))
  plan.put(0x00280010, 'US', 8)
  plan.put(0x00280011, 'US', 8)
  plan.put(0x00280100, 'US', 8)
  plan.put(0x7fe00010, 'OW', pixels)
  if (syntax !== 'explicit-be')
    plan.tasks.push({ category: 'pixels that nobody touches', place: '7fe00010', kept: pixels })
  const content = plan.content.toSorted(([a], [b]) => a - b)
  return { bytes: writeDicom(content, '1.2.840.10008.5.1.4.1.1.2', `${root}.3`, syntax), tasks: plan.tasks }
}
