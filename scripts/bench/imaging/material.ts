import { closeSync, ftruncateSync, mkdirSync, openSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { createPhantom } from '../../simulate/dicom/phantom.js'
import { simulateInstance } from '../../simulate/dicom/study.js'
import { type Content, writeDicom } from '../../simulate/dicom/write.js'
import { seededRandom } from '../../simulate/random.js'

const CT = '1.2.840.10008.5.1.4.1.1.2'

/** Computed-tomography slices of half a megabyte with identity in the header, nested, private and in free text. */
export function writeSlices(folder: string, count: number): void {
  mkdirSync(folder, { recursive: true })
  const picture = createPhantom('CT', seededRandom(1))
  for (let at = 0; at < count; at++)
    writeFileSync(
      join(folder, `${String(at).padStart(4, '0')}.dcm`),
      simulateInstance({ seed: at + 1, kind: 'CT', picture }).bytes,
    )
}

/** One instance of so many bytes of frames of 512 x 512 x 16 bit; its pixels are a hole in the file, all zero. */
export function writeFrames(file: string, bytes: number): void {
  const frame = 512 * 512 * 2
  const content: Content[] = [
    [0x00080016, 'UI', CT],
    [0x00080018, 'UI', '1.2.826.0.1.3680043.10.999.77.3'],
    [0x00080020, 'DA', '20240105'],
    [0x00080060, 'CS', 'CT'],
    [0x00100010, 'PN', 'ABERNATHY^THEODORE'],
    [0x00100020, 'LO', 'MRN12345678'],
    [0x0020000d, 'UI', '1.2.826.0.1.3680043.10.999.77.1'],
    [0x0020000e, 'UI', '1.2.826.0.1.3680043.10.999.77.2'],
    [0x00280002, 'US', 1],
    [0x00280004, 'CS', 'MONOCHROME2'],
    [0x00280008, 'IS', String(Math.floor(bytes / frame))],
    [0x00280010, 'US', 512],
    [0x00280011, 'US', 512],
    [0x00280100, 'US', 16],
    [0x00280101, 'US', 16],
    [0x00280102, 'US', 15],
    [0x00280103, 'US', 0],
    [0x7fe00010, 'OW', Buffer.alloc(0)],
  ]
  const head = writeDicom(content, CT, '1.2.826.0.1.3680043.10.999.77.3', 'explicit-le')
  const length = Math.floor(bytes / frame) * frame
  head.writeUInt32LE(length, head.length - 4)
  const descriptor = openSync(file, 'w')
  writeSync(descriptor, head)
  ftruncateSync(descriptor, head.length + length)
  closeSync(descriptor)
}
