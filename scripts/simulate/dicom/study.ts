import { type Random, seededRandom } from '../random.js'
import { drawText, textSize } from './font.js'
import { createPhantom, type Kind, type Phantom } from './phantom.js'
import { type Content, type Syntax, writeDicom } from './write.js'

/** One piece of identity that was put into an instance: where, of which category, and the text itself. */
export interface Planted {
  category: 'header' | 'nested' | 'private' | 'free-text' | 'pixels'
  /** Tag path, or the frame and rectangle of burned-in text. */
  place: string
  value: string
}

export interface SimulatedInstance {
  bytes: Buffer
  modality: string
  patientId: string
  planted: Planted[]
}

export interface InstanceOptions {
  seed: number
  kind: Kind
  syntax?: Syntax
  /** Writes name, ID and date into the pixels. */
  burnedIn?: boolean
  /** Shades of one's own in place of the phantom: a picture of these sizes, 0 to 1. */
  picture?: Phantom
}

const FAMILIES = [
  'ABERNATHY',
  'BJÖRNSDÓTTIR',
  'CAVENDISH',
  'DELACROIX',
  'ESTERHAZY',
  'FITZGERALD',
  'GUNNARSSON',
  'HOLLINGSWORTH',
]
const GIVEN = ['MARGARETHE', 'THEODORE', 'WILHELMINA', 'BARTHOLOMEW', 'JOSEPHINE', 'MAXIMILIAN']
const HOSPITALS = ['Saint Brendan Infirmary', 'Northmoor Lazarett', 'Willowbrook Sanatorium']
const CLASSES: Record<Kind, string> = {
  CT: '1.2.840.10008.5.1.4.1.1.2',
  MR: '1.2.840.10008.5.1.4.1.1.4',
  US: '1.2.840.10008.5.1.4.1.1.6.1',
  'US-CINE': '1.2.840.10008.5.1.4.1.1.3.1',
  CR: '1.2.840.10008.5.1.4.1.1.1',
}

/** A made-up patient: nobody of this name and number exists. */
function createIdentity(random: Random) {
  const digits = (count: number) => Array.from({ length: count }, () => 1 + random.below(9)).join('')
  const date = () =>
    `${1940 + random.below(70)}${String(1 + random.below(12)).padStart(2, '0')}${String(1 + random.below(28)).padStart(2, '0')}`
  const family = random.pick(FAMILIES)
  return {
    name: `${family}^${random.pick(GIVEN)}`,
    family,
    id: `MRN${digits(8)}`,
    birth: date(),
    study: `20${String(20 + random.below(6))}${String(1 + random.below(12)).padStart(2, '0')}${String(1 + random.below(28)).padStart(2, '0')}`,
    physician: `${random.pick(FAMILIES)}^${random.pick(GIVEN)}`,
    hospital: random.pick(HOSPITALS),
    phone: `+49${digits(9)}`,
    address: `${digits(2)} Quillfeather Lane`,
    serial: `SN${digits(9)}`,
    accession: `ACC${digits(8)}`,
    root: `1.2.826.0.1.3680043.10.999.${digits(9)}`,
  }
}
type Identity = ReturnType<typeof createIdentity>

function burn(phantom: Phantom, lines: string[]): Planted[] {
  const scale = Math.max(2, Math.round(phantom.columns / 200))
  return lines.flatMap((line, at) => {
    const [x, y] = [4 * scale, 4 * scale + at * 10 * scale]
    const { width, height } = textSize(line, scale)
    return Array.from({ length: phantom.frames }, (_, frame) => {
      drawText(line, x, y, scale, (px, py) => {
        if (px < phantom.columns && py < phantom.rows)
          phantom.shades[(frame * phantom.rows + py) * phantom.columns + px] = 1
      })
      return {
        category: 'pixels' as const,
        place: `frame ${frame}: ${x},${y} ${width}x${height}`,
        value: line,
      }
    })
  })
}

/** Stored values: CT in 16-bit signed Hounsfield units, MR and CR in 12 bits, US in 8. */
function pixelElements(kind: Kind, { rows, columns, frames, shades }: Phantom): Content[] {
  const eightBit = kind === 'US' || kind === 'US-CINE'
  const bytes = Buffer.alloc(shades.length * (eightBit ? 1 : 2))
  for (const [at, shade] of shades.entries()) {
    if (eightBit) bytes[at] = Math.round(shade * 255)
    else if (kind === 'CT') bytes.writeInt16LE(Math.round(shade * 2000 - 1000), at * 2)
    else bytes.writeUInt16LE(Math.round(shade * 4095), at * 2)
  }
  const bits = eightBit ? 8 : kind === 'CT' ? 16 : 12
  return [
    [0x00280002, 'US', 1],
    [0x00280004, 'CS', 'MONOCHROME2'],
    ...(frames > 1 ? [[0x00280008, 'IS', String(frames)] as Content] : []),
    [0x00280010, 'US', rows],
    [0x00280011, 'US', columns],
    [0x00280100, 'US', eightBit ? 8 : 16],
    [0x00280101, 'US', bits],
    [0x00280102, 'US', bits - 1],
    [0x00280103, 'US', kind === 'CT' ? 1 : 0],
    ...(kind === 'CT'
      ? ([
          [0x00281052, 'DS', '0'],
          [0x00281053, 'DS', '1'],
        ] as Content[])
      : []),
    [
      0x7fe00010,
      eightBit ? 'OB' : 'OW',
      bytes.length % 2 === 0 ? bytes : Buffer.concat([bytes, Buffer.of(0)]),
    ],
  ]
}

/** The header with everything that identifies, each piece entered into the list of what was planted. */
function headerElements(
  who: Identity,
  kind: Kind,
  modality: string,
  planted: Planted[],
  burnedIn: boolean,
): Content[] {
  const plant = (category: Planted['category'], place: string, value: string) => {
    planted.push({ category, place, value })
    return value
  }
  const text = (
    tag: number,
    vr: string,
    value: string,
    category: Planted['category'] = 'header',
  ): Content => [tag, vr, plant(category, tag.toString(16).padStart(8, '0'), value)]
  const inner = (path: string, tag: number, vr: string, value: string): Content => [
    tag,
    vr,
    plant('nested', path, value),
  ]
  return [
    [0x00080005, 'CS', 'ISO_IR 192'],
    [0x00080008, 'CS', 'ORIGINAL\\PRIMARY'],
    [0x00080016, 'UI', CLASSES[kind]],
    text(0x00080018, 'UI', `${who.root}.3`),
    text(0x00080020, 'DA', who.study),
    [0x00080030, 'TM', '101500'],
    text(0x00080050, 'SH', who.accession),
    [0x00080060, 'CS', modality],
    [0x00080070, 'LO', 'Vigil phantom works'],
    text(0x00080080, 'LO', who.hospital),
    text(0x00080090, 'PN', who.physician),
    text(0x00081030, 'LO', `${kind} of ${who.family} ${who.id}`, 'free-text'),
    [
      0x00081140,
      'SQ',
      [[[0x00081150, 'UI', CLASSES[kind]], inner('00081140[0].00081155', 0x00081155, 'UI', `${who.root}.9`)]],
    ],
    [0x00090010, 'LO', 'VIGIL PHANTOM'],
    text(0x00091001, 'LO', `Note on ${who.name}`, 'private'),
    text(0x00100010, 'PN', who.name),
    text(0x00100020, 'LO', who.id),
    text(0x00100030, 'DA', who.birth),
    [0x00100040, 'CS', 'O'],
    text(0x00101040, 'LO', who.address),
    text(0x00102154, 'SH', who.phone),
    [0x00180015, 'CS', kind === 'CR' ? 'CHEST' : 'HEAD'],
    text(0x00181000, 'LO', who.serial),
    text(0x0020000d, 'UI', `${who.root}.1`),
    text(0x0020000e, 'UI', `${who.root}.2`),
    [0x00200013, 'IS', '1'],
    text(0x00204000, 'LT', `Seen by ${who.physician} for ${who.id}`, 'free-text'),
    ...(burnedIn
      ? ([[0x00280301, 'CS', 'YES']] as Content[])
      : kind.startsWith('US')
        ? ([[0x00280301, 'CS', 'NO']] as Content[])
        : []),
    [
      0x00400275,
      'SQ',
      [
        [
          inner('00400275[0].00401001', 0x00401001, 'SH', who.accession),
          [
            0x00400008,
            'SQ',
            [[inner('00400275[0].00400008[0].00080104', 0x00080104, 'LO', `for ${who.id}`)]],
          ],
        ],
      ],
    ],
  ]
}

/** A synthetic DICOM instance with a phantom's pixels, planted identity, and the list of what was planted. */
export function simulateInstance({
  seed,
  kind,
  syntax = 'explicit-le',
  burnedIn = false,
  picture,
}: InstanceOptions): SimulatedInstance {
  const random = seededRandom(seed)
  const who = createIdentity(random)
  const phantom = picture ?? createPhantom(kind, random)
  const modality = kind === 'US-CINE' ? 'US' : kind
  const planted: Planted[] = burnedIn ? burn(phantom, [who.name, who.id, who.birth]) : []
  const content = [
    ...headerElements(who, kind, modality, planted, burnedIn),
    ...pixelElements(kind, phantom),
  ].sort(([a], [b]) => a - b)
  return {
    bytes: writeDicom(content, CLASSES[kind], `${who.root}.3`, syntax),
    modality,
    patientId: who.id,
    planted,
  }
}
