/** Bytes that must be seen before a stream can be told to be DICOM. */
export const HEAD_LENGTH = 132

const MAGIC = Buffer.from('DICM', 'latin1')

/**
 * Whether a stream may be DICOM by its first bytes: the File Meta prefix after the preamble (PS3.10 7.1), or, as
 * older writers left both out, a first element of group 0002 or 0008. Cheap, so that anything else is refused before
 * it is stored; the whole structure is checked afterwards.
 */
export function mayBeDicom(head: Uint8Array): boolean {
  if (head.length >= HEAD_LENGTH && Buffer.from(head.subarray(128, HEAD_LENGTH)).equals(MAGIC)) return true
  if (head.length < 8) return false
  const [a, b] = head
  return (b === 0 && (a === 0x02 || a === 0x08)) || (a === 0 && (b === 0x02 || b === 0x08))
}
