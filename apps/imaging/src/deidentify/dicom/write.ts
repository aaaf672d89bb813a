import { deflateRawSync } from 'node:zlib'
import type { Encoding } from './element.js'
import { SHORT_VRS } from './vr.js'

const IMPLEMENTATION_CLASS_UID = '2.25.201735829381140932747093288231945018233'
const IMPLEMENTATION_VERSION = 'VIGIL_1'
const LONGEST_SHORT = 0xffff
const NO_BYTES = Buffer.alloc(0)

function writeTag(header: Buffer, tag: number, littleEndian: boolean): void {
  if (littleEndian) {
    header.writeUInt16LE(tag >>> 16, 0)
    header.writeUInt16LE(tag & 0xffff, 2)
  } else {
    header.writeUInt16BE(tag >>> 16, 0)
    header.writeUInt16BE(tag & 0xffff, 2)
  }
}

/** The header of an element whose value has this even length (PS3.5 7.1). */
export function elementHeader(
  tag: number,
  vr: string,
  length: number,
  { explicit, littleEndian }: Encoding,
): Buffer {
  // PS3.5 6.2.2 note 2: what is too long for its VR's 16 bits is written as UN.
  const written = explicit && SHORT_VRS.has(vr) && length > LONGEST_SHORT ? 'UN' : vr
  const long = explicit && !SHORT_VRS.has(written)
  const header = Buffer.alloc(long ? 12 : 8)
  writeTag(header, tag, littleEndian)
  if (explicit) header.write(written, 4, 'latin1')
  if (explicit && !long) header[littleEndian ? 'writeUInt16LE' : 'writeUInt16BE'](length, 6)
  else header[littleEndian ? 'writeUInt32LE' : 'writeUInt32BE'](length, long ? 8 : 4)
  return header
}

/** The header of an item with a defined length. */
export const itemHeader = (length: number, { littleEndian }: Encoding): Buffer =>
  elementHeader(0xfffee000, '', length, { explicit: false, littleEndian })

/** An element with this value, encoded; the value must have an even length. */
export const encodeElement = (tag: number, vr: string, value: Buffer, encoding: Encoding): Buffer =>
  Buffer.concat([elementHeader(tag, vr, value.length, encoding), value])

/** An item of a sequence with a defined length. */
export const encodeItem = (content: Buffer, encoding: Encoding): Buffer =>
  Buffer.concat([itemHeader(content.length, encoding), content])

/** Bytes of text padded to an even length: UIDs with NUL, everything else with a space (PS3.5 6.2). */
export const padded = (bytes: Buffer, vr: string): Buffer =>
  bytes.length % 2 === 0 ? bytes : Buffer.concat([bytes, Buffer.of(vr === 'UI' || vr === 'OB' ? 0 : 0x20)])

export const paddedText = (text: string, vr: string): Buffer => padded(Buffer.from(text, 'latin1'), vr)

/** What the meta information of a file says. */
export interface FileMeta {
  sopClass?: Buffer
  sopInstanceUid: string
  transferSyntax: string
}

/** The head of a file (PS3.10): zeroed preamble and new meta information; nothing of the sender's. */
export function encodeHead({ sopClass, sopInstanceUid, transferSyntax }: FileMeta): Buffer {
  const explicit = { explicit: true, littleEndian: true }
  const element = (tag: number, vr: string, value: Buffer) => encodeElement(tag, vr, value, explicit)
  const uid = (tag: number, value: string) => element(tag, 'UI', paddedText(value, 'UI'))
  const group = Buffer.concat([
    element(0x00020001, 'OB', Buffer.of(0, 1)),
    sopClass ? element(0x00020002, 'UI', padded(sopClass, 'UI')) : NO_BYTES,
    uid(0x00020003, sopInstanceUid),
    uid(0x00020010, transferSyntax),
    uid(0x00020012, IMPLEMENTATION_CLASS_UID),
    element(0x00020013, 'SH', paddedText(IMPLEMENTATION_VERSION, 'SH')),
  ])
  const length = Buffer.alloc(4)
  length.writeUInt32LE(group.length)
  return Buffer.concat([Buffer.alloc(128), Buffer.from('DICM'), element(0x00020000, 'UL', length), group])
}

/** A data set as the deflated transfer syntax has it (PS3.5 A.5). */
export const deflate = (dataset: Buffer): Buffer => padded(deflateRawSync(dataset), 'OB')
