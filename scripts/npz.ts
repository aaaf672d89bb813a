import { inflateRawSync } from 'node:zlib'

/** An array of bytes with its axes, as NumPy stored it. */
export interface ByteArray {
  shape: number[]
  data: Buffer
}

const LARGEST = 2 ** 30

function parseNpy(bytes: Buffer): ByteArray {
  if (bytes.toString('latin1', 1, 6) !== 'NUMPY') throw new Error('Not a NumPy array')
  const [start, length] = bytes[6] === 1 ? [10, bytes.readUInt16LE(8)] : [12, bytes.readUInt32LE(8)]
  const header = bytes.toString('latin1', start, start + length)
  const shape = (/'shape': \(([^)]*)\)/.exec(header)?.[1] ?? '')
    .split(',')
    .map((part) => part.trim())
    .filter(Boolean)
    .map(Number)
  if (!header.includes("'|u1'") || header.includes("'fortran_order': True"))
    throw new Error('Only C-ordered arrays of unsigned bytes are read')
  const data = bytes.subarray(start + length)
  if (data.length !== shape.reduce((product, size) => product * size, 1)) throw new Error('The array is cut')
  return { shape, data }
}

/** Reads the arrays of unsigned bytes out of a .npz file (a ZIP of .npy; NumPy enhancement proposal 1). */
export function readNpz(bytes: Buffer): Map<string, ByteArray> {
  const end = bytes.lastIndexOf(Buffer.from([0x50, 0x4b, 5, 6]))
  if (end < 0) throw new Error('Not a .npz file')
  const arrays = new Map<string, ByteArray>()
  let at = bytes.readUInt32LE(end + 16)
  for (let count = bytes.readUInt16LE(end + 10); count > 0; count--) {
    const [method, size, nameLength] = [
      bytes.readUInt16LE(at + 10),
      bytes.readUInt32LE(at + 20),
      bytes.readUInt16LE(at + 28),
    ]
    const local = bytes.readUInt32LE(at + 42)
    const name = bytes.toString('utf8', at + 46, at + 46 + nameLength)
    const from = local + 30 + bytes.readUInt16LE(local + 26) + bytes.readUInt16LE(local + 28)
    const stored = bytes.subarray(from, from + size)
    arrays.set(
      name.replace(/\.npy$/, ''),
      parseNpy(method === 0 ? stored : inflateRawSync(stored, { maxOutputLength: LARGEST })),
    )
    at += 46 + nameLength + bytes.readUInt16LE(at + 30) + bytes.readUInt16LE(at + 32)
  }
  return arrays
}
