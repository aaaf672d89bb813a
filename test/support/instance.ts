/** One element of a data set: tag as eight hexadecimal digits, VR, text or bytes or items of a sequence. */
export type Written = [tag: string, vr: string, value: string | Buffer | Written[][]]

const LONG = new Set(['OB', 'OW', 'SQ', 'UN', 'UT'])

function tagBytes(tag: string): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt16LE(Number.parseInt(tag.slice(0, 4), 16), 0)
  bytes.writeUInt16LE(Number.parseInt(tag.slice(4), 16), 2)
  return bytes
}

function valueBytes(vr: string, value: Written[2]): Buffer {
  if (Buffer.isBuffer(value)) return value
  if (Array.isArray(value)) return Buffer.concat(value.map(item))
  const bytes = Buffer.from(value, 'latin1')
  return bytes.length % 2 ? Buffer.concat([bytes, Buffer.from(vr === 'UI' ? '\0' : ' ')]) : bytes
}

function item(elements: Written[]): Buffer {
  const content = dataset(elements)
  const length = Buffer.alloc(4)
  length.writeUInt32LE(content.length)
  return Buffer.concat([tagBytes('fffee000'), length, content])
}

function element([tag, vr, value]: Written): Buffer {
  const bytes = valueBytes(vr, value)
  const header = Buffer.alloc(LONG.has(vr) ? 8 : 4)
  header.write(vr, 'latin1')
  if (LONG.has(vr)) header.writeUInt32LE(bytes.length, 4)
  else header.writeUInt16LE(bytes.length, 2)
  return Buffer.concat([tagBytes(tag), header, bytes])
}

const dataset = (elements: Written[]): Buffer => Buffer.concat(elements.map(element))
const us = (value: number) => Buffer.from([value & 0xff, value >> 8])

interface Picture {
  patientName: string
  patientId: string
  modality?: string
  size?: number
  /** Further elements of the data set. */
  more?: Written[]
}

/** A DICOM Part 10 file, Explicit VR Little Endian, of a soft round phantom, written independently of the product. */
export function instance({ patientName, patientId, modality = 'CR', size = 64, more = [] }: Picture): Buffer {
  const pixels = Buffer.alloc(size * size)
  for (let y = 0; y < size; y++)
    for (let x = 0; x < size; x++)
      pixels[y * size + x] = Math.max(
        0,
        255 - Math.round(Math.hypot(x - size / 2, y - size / 2) * (400 / size)),
      )
  const sopClass = '1.2.840.10008.5.1.4.1.1.1'
  const sopInstance = `1.2.826.0.1.3680043.10.543.${size}.${Math.floor(Math.random() * 1e9)}`
  const meta = dataset([
    ['00020001', 'OB', Buffer.from([0, 1])],
    ['00020002', 'UI', sopClass],
    ['00020003', 'UI', sopInstance],
    ['00020010', 'UI', '1.2.840.10008.1.2.1'],
    ['00020012', 'UI', '1.2.826.0.1.3680043.10.543'],
  ])
  const length = Buffer.alloc(4)
  length.writeUInt32LE(meta.length)
  const body: Written[] = [
    ['00080016', 'UI', sopClass],
    ['00080018', 'UI', sopInstance],
    ['00080020', 'DA', '20260102'],
    ['00080060', 'CS', modality],
    ['00080090', 'PN', 'CANARY^PHYSICIAN'],
    ['00081110', 'SQ', [[['00100010', 'PN', patientName]]]],
    ['00100010', 'PN', patientName],
    ['00100020', 'LO', patientId],
    ['00100030', 'DA', '19510203'],
    ['0020000d', 'UI', `${sopInstance}.1`],
    ['0020000e', 'UI', `${sopInstance}.2`],
    ['00280002', 'US', us(1)],
    ['00280004', 'CS', 'MONOCHROME2'],
    ['00280010', 'US', us(size)],
    ['00280011', 'US', us(size)],
    ['00280100', 'US', us(8)],
    ['00280101', 'US', us(8)],
    ['00280102', 'US', us(7)],
    ['00280103', 'US', us(0)],
    ...more,
    ['7fe00010', 'OW', pixels],
  ]
  const sorted = body.sort(([a], [b]) => (a < b ? -1 : 1))
  const group = Buffer.concat([tagBytes('00020000'), Buffer.from('UL'), us(4), length])
  return Buffer.concat([Buffer.alloc(128), Buffer.from('DICM'), group, meta, dataset(sorted)])
}
