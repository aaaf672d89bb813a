import { deflateRawSync } from 'node:zlib'
import { type Encoding, type Instance } from './element.js'

const LONG_VRS = new Set(['OB', 'OD', 'OF', 'OL', 'OV', 'OW', 'SQ', 'SV', 'UC', 'UN', 'UR', 'UT', 'UV'])
const IMPLEMENTATION_CLASS_UID = '2.25.201735829381140932747093288231945018233'
const IMPLEMENTATION_VERSION = 'VIGIL_1'

function writeTag(header: Buffer, tag: number, littleEndian: boolean): void {
  if (littleEndian) {
    header.writeUInt16LE(tag >>> 16, 0)
    header.writeUInt16LE(tag & 0xffff, 2)
  } else {
    header.writeUInt16BE(tag >>> 16, 0)
    header.writeUInt16BE(tag & 0xffff, 2)
  }
}

/** An element with this value, encoded (PS3.5 7.1); the value must have an even length. */
export function encodeElement(
  tag: number,
  vr: string,
  value: Buffer,
  { explicit, littleEndian }: Encoding,
): Buffer {
  const long = explicit && LONG_VRS.has(vr)
  const header = Buffer.alloc(long ? 12 : 8)
  writeTag(header, tag, littleEndian)
  if (explicit) header.write(vr, 4, 'latin1')
  if (explicit && !long) header[littleEndian ? 'writeUInt16LE' : 'writeUInt16BE'](value.length, 6)
  else header[littleEndian ? 'writeUInt32LE' : 'writeUInt32BE'](value.length, long ? 8 : 4)
  return Buffer.concat([header, value])
}

/** An item of a sequence with a defined length. */
export function encodeItem(content: Buffer, encoding: Encoding): Buffer {
  return encodeElement(0xfffee000, '', content, { ...encoding, explicit: false })
}

/** Text padded to an even length: UIDs with NUL, everything else with a space (PS3.5 6.2). */
export function paddedText(text: string, vr: string): Buffer {
  const bytes = Buffer.from(text, 'latin1')
  return bytes.length % 2 === 0 ? bytes : Buffer.concat([bytes, Buffer.of(vr === 'UI' ? 0 : 0x20)])
}

/** A whole file (PS3.10): zeroed preamble, new meta information, the data set in the instance's transfer syntax. */
export function encodeFile(instance: Instance, sopInstanceUid: string, dataset: Buffer): Buffer {
  const explicit = { explicit: true, littleEndian: true }
  const element = (tag: number, vr: string, value: Buffer) => encodeElement(tag, vr, value, explicit)
  const uid = (tag: number, value: string) => element(tag, 'UI', paddedText(value, 'UI'))
  const sopClass = instance.meta.get(0x00020002)
  const group = Buffer.concat([
    element(0x00020001, 'OB', Buffer.of(0, 1)),
    ...(sopClass ? [element(0x00020002, 'UI', sopClass)] : []),
    uid(0x00020003, sopInstanceUid),
    uid(0x00020010, instance.transferSyntax),
    uid(0x00020012, IMPLEMENTATION_CLASS_UID),
    element(0x00020013, 'SH', paddedText(IMPLEMENTATION_VERSION, 'SH')),
  ])
  const length = Buffer.alloc(4)
  length.writeUInt32LE(group.length)
  const body = instance.deflated ? deflate(dataset) : dataset
  return Buffer.concat([
    Buffer.alloc(128),
    Buffer.from('DICM'),
    element(0x00020000, 'UL', length),
    group,
    body,
  ])
}

function deflate(dataset: Buffer): Buffer {
  const bytes = deflateRawSync(dataset)
  return bytes.length % 2 === 0 ? bytes : Buffer.concat([bytes, Buffer.of(0)])
}
