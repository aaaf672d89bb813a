import { isSignedBy, type NoteVerifier, parseNote, parseVerificationKey } from '../merkle/note.js'
import { type AddCheckpoint, addCheckpointText } from './request.js'

/** A witness as the log knows it: where to submit, and the key that its cosignatures must verify with. */
export interface Witness {
  url: string
  /** Verification key as text, and read. */
  vkey: string
  key: NoteVerifier
}

/** Pairs of `URL VKEY`, one a line or separated by commas; throws where one is malformed. */
export function parseWitnesses(text: string): Witness[] {
  return text
    .split(/[\n,]/)
    .map((line) => line.trim())
    .filter((line) => line !== '')
    .map((line) => {
      const [url = '', vkey = '', more] = line.split(/\s+/)
      if (!URL.canParse(url) || more !== undefined) throw new Error('A witness is given as URL and key')
      return { url: url.replace(/\/$/, ''), vkey, key: parseVerificationKey(vkey) }
    })
}

/** What came of asking: its signature line, the size that it knows instead, or why there is none. */
export type WitnessAnswer = { line: string } | { size: number } | { failure: string }

/** The answer's line that this witness's key signed; lines by unknown keys are ignored, as the protocol says. */
function ownLine(note: string, answer: string, key: NoteVerifier): string | undefined {
  const text = note.slice(0, note.lastIndexOf('\n\n') + 2)
  return answer
    .split('\n')
    .map((line) => `${line}\n`)
    .find((line) => {
      try {
        return isSignedBy(parseNote(text + line), key)
      } catch {
        return false
      }
    })
}

/** Submits a checkpoint (C2SP tlog-witness `add-checkpoint`). Never rejects. */
export async function askWitness(
  { url, key }: Witness,
  request: AddCheckpoint,
  timeoutMs: number,
): Promise<WitnessAnswer> {
  try {
    const response = await fetch(`${url}/add-checkpoint`, {
      method: 'POST',
      body: addCheckpointText(request),
      headers: { 'content-type': 'text/plain; charset=utf-8' },
      signal: AbortSignal.timeout(timeoutMs),
      redirect: 'error',
    })
    const answer = (await response.text()).slice(0, 10_000)
    if (response.status === 409 && /^(0|[1-9]\d{0,15})\n$/.test(answer)) return { size: Number(answer) }
    if (response.status !== 200) return { failure: `status ${response.status}` }
    const line = ownLine(request.note, answer, key)
    return line ? { line } : { failure: 'no valid cosignature in the answer' }
  } catch (error) {
    return { failure: (error as Error).name === 'TimeoutError' ? 'timeout' : 'unreachable' }
  }
}
