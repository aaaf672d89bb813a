import { decodeBase64 } from './base64.js'
import { HASH_LENGTH } from './hash.js'

/** A commitment to a log (C2SP tlog-checkpoint). */
export interface Checkpoint {
  origin: string
  size: number
  root: Buffer
}

/** The text that is signed: origin, size, root. */
export const checkpointText = ({ origin, size, root }: Checkpoint): string =>
  `${origin}\n${size}\n${root.toString('base64')}\n`

/** Reads the text of a checkpoint note; throws where it is malformed. */
export function parseCheckpoint(text: string): Checkpoint {
  const [origin, size, root64] = text.split('\n')
  const root = decodeBase64(root64 ?? '')
  if (!origin || !/^(0|[1-9]\d{0,15})$/.test(size ?? '') || root?.length !== HASH_LENGTH)
    throw new Error('Malformed checkpoint')
  return { origin, size: Number(size), root }
}

/** A proof in one text file (C2SP tlog-proof): the checkpoint comes along. */
export const proofText = (index: number, proof: readonly Buffer[], checkpoint: string): string =>
  `c2sp.org/tlog-proof@v1\nindex ${index}\n${proof.map((hash) => `${hash.toString('base64')}\n`).join('')}\n${checkpoint}`
