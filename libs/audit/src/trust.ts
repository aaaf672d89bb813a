import { VerificationFailure } from './failure.js'
import { type Checkpoint, parseCheckpoint } from './merkle/checkpoint.js'
import {
  isWitnessKey,
  type Note,
  type NoteVerifier,
  parseNote,
  parseVerificationKey,
  signatureTime,
} from './merkle/note.js'

/** A witness's word that it saw this checkpoint and that it follows from every one it saw before. */
interface Cosignature {
  witness: string
  at: Date
}

export interface TrustedCheckpoint extends Checkpoint {
  cosignatures: Cosignature[]
}

/** Reads verification keys, one a line or one an item; throws VerificationFailure where one is none. */
export function readKeys(keys: readonly string[]): NoteVerifier[] {
  try {
    return keys.map(parseVerificationKey)
  } catch {
    throw new VerificationFailure('unreadable', 'one of the verification keys is malformed')
  }
}

function read(text: string, what: string): { note: Note; checkpoint: Checkpoint } {
  try {
    const note = parseNote(text)
    return { note, checkpoint: parseCheckpoint(note.text) }
  } catch {
    throw new VerificationFailure('unreadable', `${what} is malformed`)
  }
}

/**
 * A checkpoint that a key of its own log has signed; the other keys are witnesses'. With `everyWitness`, each must
 * have cosigned it. Throws VerificationFailure; `what` is how the message calls the checkpoint.
 */
export function openCheckpoint(
  text: string,
  keys: readonly NoteVerifier[],
  { what, everyWitness = false }: { what: string; everyWitness?: boolean },
): TrustedCheckpoint {
  const { note, checkpoint } = read(text, what)
  const isSigned = keys.some(
    (key) => !isWitnessKey(key) && key.name === checkpoint.origin && signatureTime(note, key) !== undefined,
  )
  if (!isSigned) {
    throw new VerificationFailure(
      'signature',
      `${what} of ${checkpoint.origin} is not signed by the key given for it`,
    )
  }
  const times = keys
    .filter(isWitnessKey)
    .map((key) => ({ witness: key.name, time: signatureTime(note, key) }))
  const silent = times.find(({ time }) => time === undefined)
  if (everyWitness && silent) {
    throw new VerificationFailure(
      'signature',
      `${what} has no valid cosignature by the witness ${silent.witness}`,
    )
  }
  const cosignatures = times.flatMap(({ witness, time }) =>
    time === undefined ? [] : [{ witness, at: new Date(Number(time) * 1000) }],
  )
  return { ...checkpoint, cosignatures }
}
