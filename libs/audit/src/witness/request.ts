import { decodeBase64 } from '../merkle/base64.js'
import { HASH_LENGTH } from '../merkle/hash.js'

/** Body of `add-checkpoint` (C2SP tlog-witness): the size the witness knows, the proof from there, a signed note. */
export interface AddCheckpoint {
  oldSize: number
  proof: Buffer[]
  note: string
}

const MAX_PROOF = 63

export const addCheckpointText = ({ oldSize, proof, note }: AddCheckpoint): string =>
  `old ${oldSize}\n${proof.map((hash) => `${hash.toString('base64')}\n`).join('')}\n${note}`

/** Reads such a body; undefined where it is malformed. */
export function parseAddCheckpoint(body: string): AddCheckpoint | undefined {
  const end = body.indexOf('\n\n')
  const [head, ...lines] = body.slice(0, Math.max(end, 0)).split('\n')
  const old = /^old (0|[1-9]\d{0,15})$/.exec(head ?? '')
  if (end < 0 || !old || lines.length > MAX_PROOF) return undefined
  const proof = lines.map(decodeBase64)
  if (!proof.every((hash): hash is Buffer => hash?.length === HASH_LENGTH)) return undefined
  return { oldSize: Number(old[1]), proof, note: body.slice(end + 2) }
}
