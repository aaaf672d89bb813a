import { DicomError, type DicomErrorCode } from '../deidentify/dicom/error.js'
import { LIMITS } from '../deidentify/dicom/limits.js'
import { parseInstance } from '../deidentify/dicom/parse.js'
import type { Blob, BlobStore } from '../storage/blob-store.js'

/** Why a file is not taken in. */
export type Defect = DicomErrorCode

/** Reads the whole structure of an instance; undefined where it is sound. Pure. */
export function defectOf(bytes: Buffer, inflatedBytes: number): Defect | undefined {
  try {
    parseInstance(bytes, { ...LIMITS, inflatedBytes })
    return undefined
  } catch (error) {
    if (error instanceof DicomError) return error.code
    throw error
  }
}

/** Lets `width` pieces of work run at once; the others wait, so that memory stays bounded whatever comes in. */
export function gate(width: number): <T>(work: () => Promise<T>) => Promise<T> {
  let free = width
  const waiting: (() => void)[] = []
  return async (work) => {
    if (free > 0) free -= 1
    else await new Promise<void>((resolve) => waiting.push(resolve))
    try {
      return await work()
    } finally {
      const next = waiting.shift()
      if (next) next()
      else free += 1
    }
  }
}

/** Whole files in memory at once while they are checked. */
const CHECKED_AT_ONCE = 2
const enter = gate(CHECKED_AT_ONCE)

/** Checks a stored file as it will be read later: decrypted from disk. */
export const verifyStored = (store: BlobStore, image: Blob, inflatedBytes: number) =>
  enter(async () => defectOf(await store.readWhole(image), inflatedBytes))
