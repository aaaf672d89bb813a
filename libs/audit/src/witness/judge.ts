import { type Checkpoint, parseCheckpoint } from '../merkle/checkpoint.js'
import { EMPTY_ROOT } from '../merkle/hash.js'
import { isSignedBy, isWitnessKey, type Note, type NoteVerifier, parseNote } from '../merkle/note.js'
import { verifyConsistency } from '../merkle/verify.js'
import { type AddCheckpoint, parseAddCheckpoint } from './request.js'

/** What the witness answers, as an HTTP status (C2SP tlog-witness); `size` is the newest that it cosigned. */
export type Verdict =
  | { status: 200; text: string; checkpoint: Checkpoint }
  | { status: 409; size: number }
  | { status: 400 | 403 | 404 | 422; reason: string }

interface Known {
  /** Keys of the logs that are witnessed; the name of each is its log's origin. */
  keys: readonly NoteVerifier[]
  /** Newest checkpoint that was cosigned for an origin. */
  latest(origin: string): Pick<Checkpoint, 'size' | 'root'> | undefined
}

const malformed = (reason: string): Verdict => ({ status: 400, reason })
const inconsistent: Verdict = {
  status: 422,
  reason: 'the proof does not lead from the old size to the checkpoint',
}

function read(note: string): { note: Note; checkpoint: Checkpoint } | undefined {
  try {
    const parsed = parseNote(note)
    return { note: parsed, checkpoint: parseCheckpoint(parsed.text) }
  } catch {
    return undefined
  }
}

/** Whether a submitted checkpoint may be cosigned. The caller keeps it before it answers, and lets nothing come between. */
export function judge(body: string, known: Known): Verdict {
  const request = parseAddCheckpoint(body)
  if (!request) return malformed('the body is not that of add-checkpoint')
  const submitted = read(request.note)
  if (!submitted) return malformed('the checkpoint is malformed')
  const { note, checkpoint } = submitted
  const keys = known.keys.filter((key) => key.name === checkpoint.origin && !isWitnessKey(key))
  if (keys.length === 0)
    return { status: 404, reason: 'the origin is not one of the logs that are witnessed' }
  if (!keys.some((key) => isSignedBy(note, key)))
    return { status: 403, reason: 'no signature by a key of this log is valid' }
  if (request.oldSize > checkpoint.size) return malformed('the old size is larger than the checkpoint')
  const latest = known.latest(checkpoint.origin) ?? { size: 0, root: EMPTY_ROOT }
  if (request.oldSize !== latest.size) return { status: 409, size: latest.size }
  return follows(request, latest, checkpoint) ?? { status: 200, text: note.text, checkpoint }
}

/** Why a checkpoint does not follow the latest one; undefined where it does. */
function follows(
  { proof }: AddCheckpoint,
  latest: Pick<Checkpoint, 'size' | 'root'>,
  checkpoint: Checkpoint,
): Verdict | undefined {
  if (latest.size === checkpoint.size && !latest.root.equals(checkpoint.root))
    return { status: 409, size: latest.size }
  if (latest.size === 0 || latest.size === checkpoint.size)
    return proof.length === 0 ? undefined : inconsistent
  const [oldSize, size] = [BigInt(latest.size), BigInt(checkpoint.size)]
  const holds = verifyConsistency({ oldSize, size, proof, oldRoot: latest.root, root: checkpoint.root })
  return holds ? undefined : inconsistent
}
