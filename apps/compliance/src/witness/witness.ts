import type { Logger } from 'pino'
import { cosign, judge, type NoteSigner, type NoteVerifier, type Verdict } from '#libs/audit'
import type { WitnessState } from './state.js'

/** Injection token of the witness. */
export const WITNESS = Symbol('witness')

interface Options {
  signer: NoteSigner
  /** Verification key as text. */
  vkey: string
  logs: readonly NoteVerifier[]
  state: WitnessState
  /** Seconds since 1970. */
  now: () => bigint
  logger: Logger
}

export type WitnessAnswer = { status: 200; line: string } | Exclude<Verdict, { status: 200 }>

/** Cosigns what continues the history that it has seen, and nothing else. */
export class Witness {
  constructor(private readonly options: Options) {}

  get vkey(): string {
    return this.options.vkey
  }

  addCheckpoint(body: string): WitnessAnswer {
    const { signer, logs, state, now, logger } = this.options
    const verdict = judge(body, { keys: logs, latest: (origin) => state.latest(origin) })
    // What was signed and does not fit is the proof that a log has two histories: it is kept in the log whole.
    if (verdict.status === 422)
      logger.error({ submitted: body }, 'a log contradicts what was cosigned before')
    if (verdict.status !== 200) return verdict
    state.keep(verdict.checkpoint)
    return { status: 200, line: cosign(signer, verdict.text, now()) }
  }
}
