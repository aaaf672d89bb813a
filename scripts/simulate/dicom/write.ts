import { deflateRawSync } from 'node:zlib'

/** Transfer syntaxes that the simulator writes. */
export const SYNTAXES = {
  'implicit-le': '1.2.840.10008.1.2',
  'explicit-le': '1.2.840.10008.1.2.1',
  deflated: '1.2.840.10008.1.2.1.99',
  'explicit-be': '1.2.840.10008.1.2.2',
} as const
export type Syntax = keyof typeof SYNTAXES

/** An element to write: tag, VR, and text, numbers (of US), bytes (little endian 16-bit words for OW) or items. */
export type Content = [tag: number, vr: string, value: string | number | Buffer | Content[][]]

const LONG = new Set(['OB', 'OW', 'SQ', 'UC', 'UN', 'UT'])

function valueBytes([, vr, value]: Content, bigEndian: boolean, explicit: boolean): Buffer {
  if (typeof value === 'number') {
    const bytes = Buffer.alloc(2)
    if (bigEndian) bytes.writeUInt16BE(value)
    else bytes.writeUInt16LE(value)
    return bytes
  }
  if (Array.isArray(value))
    return Buffer.concat(value.map((item) => itemBytes(encodeAll(item, bigEndian, explicit), bigEndian)))
  const bytes = typeof value === 'string' ? Buffer.from(value, 'utf8') : Buffer.from(value)
  if (typeof value !== 'string') return bigEndian && vr === 'OW' ? bytes.swap16() : bytes
  return bytes.length % 2 === 0 ? bytes : Buffer.concat([bytes, Buffer.of(vr === 'UI' ? 0 : 0x20)])
}

function header(tag: number, vr: string, length: number, bigEndian: boolean, explicit: boolean): Buffer {
  const bytes = Buffer.alloc(explicit && LONG.has(vr) ? 12 : 8)
  const write16 = (value: number, at: number) =>
    bigEndian ? bytes.writeUInt16BE(value, at) : bytes.writeUInt16LE(value, at)
  const write32 = (value: number, at: number) =>
    bigEndian ? bytes.writeUInt32BE(value, at) : bytes.writeUInt32LE(value, at)
  write16(tag >>> 16, 0)
  write16(tag & 0xffff, 2)
  if (explicit) bytes.write(vr, 4, 'latin1')
  if (explicit && !LONG.has(vr)) write16(length, 6)
  else write32(length, bytes.length - 4)
  return bytes
}

const itemBytes = (content: Buffer, bigEndian: boolean): Buffer =>
  Buffer.concat([header(0xfffee000, '', content.length, bigEndian, false), content])

const encodeAll = (content: Content[], bigEndian: boolean, explicit: boolean): Buffer =>
  Buffer.concat(
    content.flatMap((element) => {
      const value = valueBytes(element, bigEndian, explicit)
      return [header(element[0], element[1], value.length, bigEndian, explicit), value]
    }),
  )

/** A DICOM file (PS3.10) with these elements, which must be in the order of their tags. */
export function writeDicom(
  content: Content[],
  sopClass: string,
  sopInstance: string,
  syntax: Syntax,
): Buffer {
  const dataset = encodeAll(content, syntax === 'explicit-be', syntax !== 'implicit-le')
  const meta = encodeAll(
    [
      [0x00020001, 'OB', Buffer.of(0, 1)],
      [0x00020002, 'UI', sopClass],
      [0x00020003, 'UI', sopInstance],
      [0x00020010, 'UI', SYNTAXES[syntax]],
      [0x00020012, 'UI', '1.2.826.0.1.3680043.10.999.1'],
    ],
    false,
    true,
  )
  const length = Buffer.alloc(4)
  length.writeUInt32LE(meta.length)
  const groupLength = Buffer.concat([header(0x00020000, 'UL', 4, false, true), length])
  return Buffer.concat([
    Buffer.alloc(128),
    Buffer.from('DICM'),
    groupLength,
    meta,
    syntax === 'deflated' ? deflate(dataset) : dataset,
  ])
}

function deflate(dataset: Buffer): Buffer {
  const bytes = deflateRawSync(dataset)
  return bytes.length % 2 === 0 ? bytes : Buffer.concat([bytes, Buffer.of(0)])
}
