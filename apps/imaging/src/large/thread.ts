import { parentPort, workerData } from 'node:worker_threads'
import { OpenedFile } from '#libs/crypto'
import { deidentifyInstance } from '../deidentify/deidentify.js'
import { type Bytes, RangedBytes } from '../deidentify/dicom/bytes.js'
import { DicomError } from '../deidentify/dicom/error.js'
import { LIMITS } from '../deidentify/dicom/limits.js'
import { parseInstance } from '../deidentify/dicom/parse.js'
import type { LargeOutcome, LargeTask } from './task.js'

const { place, order, inflatedBytes } = workerData as LargeTask
const port = parentPort!

/** Reads and cleans; the chunks of a clean file are made while they are asked for. */
function run(file: OpenedFile): { outcome: LargeOutcome; chunks?: Iterator<Buffer> } {
  try {
    const limits = { ...LIMITS, inflatedBytes: Math.min(inflatedBytes, LIMITS.inflatedBytes) }
    const bytes = new RangedBytes(file.length, (start, end) => file.read(start, end))
    const instance = parseInstance<Bytes>(bytes, limits)
    if (!order) return { outcome: { kind: 'sound' } }
    const cleaned = deidentifyInstance(instance, { ...order, limits })
    if (cleaned.kind === 'quarantined') return { outcome: cleaned }
    const { report, burnedIn } = cleaned
    return { outcome: { kind: 'clean', report, burnedIn }, chunks: cleaned.file.chunks()[Symbol.iterator]() }
  } catch (error) {
    if (error instanceof DicomError) return { outcome: { kind: 'rejected', code: error.code } }
    throw error
  }
}

const file = OpenedFile.open(place.path, place.key, place.aad)
place.key.fill(0)
const { outcome, chunks } = run(file)
port.postMessage(outcome)
if (chunks)
  port.on('message', () => {
    const { value, done } = chunks.next()
    if (done) {
      file.close()
      port.postMessage(null)
      port.close()
      return
    }
    // Pieces of other buffers are copied, so that each can change hands.
    const bytes = Uint8Array.from(value)
    port.postMessage(bytes, [bytes.buffer])
  })
else file.close()
