import { DicomError, type DicomErrorCode } from '../deidentify/dicom/error.js'
import { LIMITS } from '../deidentify/dicom/limits.js'
import { parseInstance } from '../deidentify/dicom/parse.js'
import { openLarge } from '../large/image.js'
import { LARGE } from '../large/task.js'
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

async function defectOfLarge(
  store: BlobStore,
  image: Blob,
  inflatedBytes: number,
): Promise<Defect | undefined> {
  const large = await openLarge({ place: await store.place(image), inflatedBytes })
  await large.close()
  return large.outcome.kind === 'rejected' ? large.outcome.code : undefined
}

/** Checks a stored file as it will be read later: decrypted from disk; a large one piece by piece on a thread. */
export const verifyStored = (store: BlobStore, image: Blob, inflatedBytes: number) =>
  enter(async () =>
    image.bytes > LARGE
      ? defectOfLarge(store, image, inflatedBytes)
      : defectOf(await store.readWhole(image), inflatedBytes),
  )
