import { deflateRawSync } from 'node:zlib'

/** An element to write: tag, VR, and text (Latin 1), bytes, or items of a sequence. */
export type Content = [tag: number, vr: string, value: string | Buffer | Content[][]]

export const SYNTAX = {
  le: '1.2.840.10008.1.2.1',
  implicit: '1.2.840.10008.1.2',
  be: '1.2.840.10008.1.2.2',
  deflated: '1.2.840.10008.1.2.1.99',
} as const
const LONG = new Set(['OB', 'OD', 'OF', 'OL', 'OV', 'OW', 'SQ', 'SV', 'UC', 'UN', 'UR', 'UT', 'UV'])

interface Coding {
  explicit: boolean
  big: boolean
}

function header(tag: number, vr: string, length: number, { explicit, big }: Coding): Buffer {
  const long = explicit && LONG.has(vr)
  const bytes = Buffer.alloc(long ? 12 : 8)
  const short = (value: number, at: number) =>
    big ? bytes.writeUInt16BE(value, at) : bytes.writeUInt16LE(value, at)
  short(tag >>> 16, 0)
  short(tag & 0xffff, 2)
  if (explicit) bytes.write(vr, 4, 'latin1')
  if (explicit && !long) short(length, 6)
  else if (big) bytes.writeUInt32BE(length, long ? 8 : 4)
  else bytes.writeUInt32LE(length, long ? 8 : 4)
  return bytes
}

function encoded([, vr, value]: Content, coding: Coding): Buffer {
  if (Buffer.isBuffer(value)) return value
  if (Array.isArray(value))
    return Buffer.concat(
      value.flatMap((item) => {
        const content = datasetOf(item, coding)
        return [header(0xfffee000, '', content.length, { ...coding, explicit: false }), content]
      }),
    )
  const bytes = Buffer.from(value, 'latin1')
  return bytes.length % 2 ? Buffer.concat([bytes, Buffer.from(vr === 'UI' ? '\0' : ' ')]) : bytes
}

/** A data set, encoded independently of the product. */
export const datasetOf = (content: readonly Content[], coding: Coding): Buffer =>
  Buffer.concat(
    content.flatMap((element) => {
      const value = encoded(element, coding)
      return [header(element[0], element[1], value.length, coding), value]
    }),
  )

/** A DICOM file (PS3.10) with these elements. */
export function fileOf(content: readonly Content[], syntax: string = SYNTAX.le): Buffer {
  const coding = { explicit: syntax !== SYNTAX.implicit, big: syntax === SYNTAX.be }
  const dataset = datasetOf(content, coding)
  return wrap(syntax === SYNTAX.deflated ? deflateRawSync(dataset) : dataset, syntax)
}

/** A file around a data set that is encoded already. */
export function wrap(dataset: Buffer, syntax: string): Buffer {
  const group = datasetOf(
    [
      [0x00020001, 'OB', Buffer.of(0, 1)],
      [0x00020002, 'UI', '1.2.840.10008.5.1.4.1.1.2'],
      [0x00020003, 'UI', '1.2.826.0.1.3680043.77.1'],
      [0x00020010, 'UI', syntax],
      [0x00020012, 'UI', '1.2.826.0.1.3680043.77'],
      [0x00020016, 'AE', 'HOSPITAL_PACS'],
    ],
    { explicit: true, big: false },
  )
  const length = Buffer.alloc(4)
  length.writeUInt32LE(group.length)
  const groupLength = datasetOf([[0x00020000, 'UL', length]], { explicit: true, big: false })
  return Buffer.concat([Buffer.alloc(128), Buffer.from('DICM'), groupLength, group, dataset])
}
