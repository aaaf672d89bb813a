import { setTimeout as sleep } from 'node:timers/promises'
import {
  correlation,
  invalidRequest,
  type ProblemError,
  parseJson,
  problems,
  toProblem,
  withCorrelation,
} from '#libs/platform'
import type { Answer } from '../transactions/decide.js'
import { Transaction, timeError } from '../transactions/transaction.js'
import type { Line } from './lines.js'
import { Sequential } from './sequential.js'

/** Longest line in bytes: a payment with all its metadata is below 16 KiB. */
export const LINE_LIMIT = 64 * 1024

/** How long a line waits for a database that is away or a queue that is full before it is told to come again. */
const PATIENCE_MS = 20_000
const LONGEST_PAUSE_MS = 1_000

export interface LineCounts {
  decided: number
  replayed: number
  refused: number
}

const invalid = (pointer: string, detail: string) =>
  problems.invalidRequest({ detail: `Not valid: ${pointer}`, errors: [{ pointer, detail }] })

/** The payment of a line; throws the problem that a single post of it would get. */
export function paymentOf({ bytes }: Line, now: number): Transaction {
  if (!bytes) throw problems.tooLarge({ detail: `The line is longer than ${LINE_LIMIT} bytes` })
  const result = Transaction.safeParse(parseJson(bytes))
  if (!result.success) throw invalidRequest(result.error.issues)
  const wrong = timeError(result.data, now)
  if (wrong) throw invalid('/timestamp', wrong)
  return result.data
}

/** What is temporarily not to be had is tried again: a batch rides over a restart of the database. */
async function patiently<T>(work: () => Promise<T>, stopping: () => boolean): Promise<T> {
  const limit = Date.now() + PATIENCE_MS
  for (let pause = 50; ; pause = Math.min(2 * pause, LONGEST_PAUSE_MS)) {
    try {
      return await work()
    } catch (error) {
      if (toProblem(error).status !== 503 || stopping() || Date.now() + pause > limit) throw error
      await sleep(pause)
    }
  }
}

const problemLine = (problem: ProblemError, line: number) =>
  `${JSON.stringify({ ...problem.toDetails(`urn:uuid:${correlation().correlationId}`), line })}\n`

const answerLine = ({ response, replayed }: Answer) =>
  replayed ? `${response.slice(0, -1)},"idempotent_replayed":true}\n` : `${response}\n`

/** Makes the function that answers one line: with the decision as a single post gets it, or with its problem. */
export function lineDecider(
  decide: (transaction: Transaction) => Promise<Answer>,
  counts: LineCounts,
  stopping: () => boolean,
  unexpected: (error: unknown) => void,
): (line: Line) => Promise<string> {
  const accounts = new Sequential()
  const context = correlation()
  const decideLine = async (line: Line) => {
    try {
      const payment = paymentOf(line, Date.now())
      const answer = await accounts.run(payment.user_id, () => patiently(() => decide(payment), stopping))
      if (answer.replayed) counts.replayed++
      else counts.decided++
      return answerLine(answer)
    } catch (error) {
      counts.refused++
      const problem = toProblem(error)
      if (problem.status >= 500) unexpected(error)
      return problemLine(problem, line.number)
    }
  }
  // The stream is read in the context of its socket: enter the request's again.
  return (line) => withCorrelation(context, () => decideLine(line))
}
