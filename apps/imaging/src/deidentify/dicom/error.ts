/** Why bytes are not a DICOM instance that we read. */
export type DicomErrorCode =
  | 'not_dicom'
  | 'truncated'
  | 'invalid_vr'
  | 'invalid_length'
  | 'invalid_sequence'
  | 'too_deep'
  | 'too_many_elements'
  | 'value_too_large'
  | 'inflated_too_large'
  | 'invalid_transfer_syntax'
  | 'image_too_large'

/** Malformed or hostile input, with the place where reading ended; never a value out of it. */
export class DicomError extends Error {
  override readonly name = 'DicomError'
  constructor(
    readonly code: DicomErrorCode,
    /** Byte offset in the (inflated) data set. */
    readonly offset: number,
    /** Path of tags, such as 0040A730[0].0040A123. */
    readonly path = '',
  ) {
    super(`${code} at byte ${offset}${path ? ` in ${path}` : ''}`)
  }
}
