import type pg from 'pg'
import type { Principal } from '#libs/auth'
import { type Guard, GuardError } from '#libs/inference'
import { correlation, inSpan, inTransaction, isUnavailable, problems, withCorrelation } from '#libs/platform'
import { accountRecord } from '../features/account.js'
import { factsOf } from '../features/facts.js'
import { FEATURES } from '../features/features.js'
import { DIMENSIONS, keysOf, Ledger, nameOf } from '../features/ledger.js'
import {
  compactAccounts,
  readTiles,
  readTruths,
  type TruthMemory,
  takeLane,
  writeTiles,
} from '../features/state.sql.js'
import { rebuildWindows } from '../history/rebuild.js'
import type { Decision } from './answer.js'
import { Batcher, type Ended } from './batcher.js'
import { composeAll } from './compose.js'
import {
  featureSetOf,
  findDecisions,
  type Reservation,
  reserve,
  type StoredDecision,
  storeDecisions,
} from './decide.sql.js'
import { inLane, together } from './lane.js'
import { decisions, lockWait, timed } from './measures.js'
import { withFeatures } from './snapshot.js'
import { fingerprint, type Transaction } from './transaction.js'
import type { DeskParts, Waiting, Work } from './work.js'

/** Where payments are decided. */
export interface Desk extends DeskParts {
  batcher: Batcher<Waiting, Answer>
}

/** An answer as bytes, and whether it was given before. */
export interface Answer {
  response: string
  replayed: boolean
}

/** What must be done before anything is decided: window state made where it is missing, the features' names known. */
function prepare({ pool, logger }: DeskParts): Promise<number> {
  return inTransaction(pool, async (client) => {
    const payments = await rebuildWindows(client)
    if (payments > 0) logger.info({ payments }, 'the state of windows was made from stored payments')
    return featureSetOf(client, FEATURES)
  })
}

/** Opens a desk at which payments that arrive together are decided together. */
export function openDesk(parts: DeskParts): Desk {
  let preparing: Promise<number> | undefined
  const prepared = async (): Promise<number> => {
    preparing ??= prepare(parts)
    try {
      return await preparing
    } catch (error) {
      preparing = undefined
      throw error
    }
  }
  const truths: TruthMemory = new Map()
  const batcher = new Batcher<Waiting, Answer>(parts.limits, (batch) =>
    inBatchSpan(batch, async () => decideApart({ ...parts, truths, featureSet: await prepared() }, batch)),
  )
  return { ...parts, batcher }
}

/**
 * Decides a payment: payment, windows, decision, audit entry and event are one database transaction, shared with those
 * that arrived at the same moment. The same payment again gets its first answer, byte for byte.
 */
export function decideTransaction(desk: Desk, caller: Principal, transaction: Transaction): Promise<Answer> {
  const facts = factsOf(transaction)
  return desk.batcher.submit({
    tenant: caller.tenant,
    actor: caller.actor(),
    transaction,
    facts,
    record: accountRecord(facts),
    bodySha256: fingerprint(transaction),
    correlation: correlation(),
    startedAt: performance.now(),
  })
}

/** A span for work that several requests share: below the first of them that is recorded, linked to the others. */
function inBatchSpan<T>(batch: readonly Waiting[], work: () => Promise<T>): Promise<T> {
  const recorded = batch.filter(({ correlation: { span } }) => span?.isRecording())
  const [first, ...others] = recorded.map((waiting) => waiting.correlation)
  if (!first) return work()
  const links = others.map(({ span }) => ({ context: span!.spanContext() }))
  const attributes = { 'vigil.batch.size': batch.length }
  return withCorrelation(first, () => inSpan('decide batch', { attributes, links }, work))
}

const unguarded: Pick<Guard, 'run'> = { run: (work) => work(new AbortController().signal) }

/** What is not recorded must not be acknowledged: without the database there is no decision, not even by rules. */
const refused = ({ message }: GuardError) =>
  problems.unavailable({ detail: `No decision: ${message}`, headers: { 'retry-after': '1' } })

/** Decides a batch; where it fails as a whole, its halves, so that what cannot be decided fails alone. */
async function decideApart(work: Work, batch: Waiting[]): Promise<Ended<Answer>[]> {
  try {
    const { guard = unguarded } = work
    return await guard.run((signal) => decideTogether(work, batch, signal))
  } catch (thrown) {
    const error = thrown instanceof GuardError ? refused(thrown) : thrown
    if (thrown instanceof GuardError || batch.length === 1 || isUnavailable(error))
      return batch.map(() => ({ error }))
    const half = batch.length >> 1
    const first = await decideApart(work, batch.slice(0, half))
    return [...first, ...(await decideApart(work, batch.slice(half)))]
  }
}

/** The same payment again gets the first answer; another payment under its id is a conflict. */
function replayed(stored: StoredDecision, { bodySha256 }: Waiting): Ended<Answer> {
  if (stored.response === null || stored.bodySha256 === null)
    return { error: problems.conflict({ detail: 'This transaction_id belongs to imported history' }) }
  if (stored.bodySha256.equals(bodySha256)) return { result: { response: stored.response, replayed: true } }
  return {
    error: problems.conflict({
      detail: 'Another payment was decided under this transaction_id',
      errors: [{ pointer: '/transaction_id', detail: 'Already used with another body' }],
    }),
  }
}

const idOf = ({ tenant, transaction }: Waiting) => nameOf(tenant, transaction.transaction_id)

/** Decides a batch in one transaction, or throws with nothing done. */
async function decideTogether(work: Work, batch: Waiting[], signal: AbortSignal): Promise<Ended<Answer>[]> {
  const first = new Map<string, Waiting>()
  for (const waiting of batch) if (!first.has(idOf(waiting))) first.set(idOf(waiting), waiting)
  const stored = await timed(
    'batch',
    inLane(work.lanes, signal, (client) => decideOnce(work, client, [...first.values()])),
  )
  for (const { answer } of stored.values())
    if (answer) decisions.inc({ decision: answer.decision, degraded: String(answer.degraded) })
  return batch.map((waiting) => {
    const outcome = stored.get(idOf(waiting))!
    if (outcome.answer && first.get(idOf(waiting)) === waiting)
      return { result: { response: outcome.response!, replayed: false } }
    return replayed(outcome, waiting)
  })
}

/** What stands under an id after the batch; with `answer` where it was decided in it. */
type Outcome = StoredDecision & { answer?: Decision }

async function decideOnce(
  work: Work,
  client: pg.PoolClient,
  batch: Waiting[],
): Promise<Map<string, Outcome>> {
  const keys = keysOf(batch, [DIMENSIONS.merchant, DIMENSIONS.place, DIMENSIONS.method])
  const truthKeys = keysOf(batch, Object.values(DIMENSIONS))
  const [reservation, lane, tiles, truths] = await timed(
    'open',
    together([
      reserve(client, batch).finally(lockWait.startTimer()),
      takeLane(client),
      readTiles(client, keys),
      readTruths(client, truthKeys, work.truths),
    ]),
  )
  if (lane === undefined) throw problems.unavailable({ detail: 'Too many decisions are under way' })
  const fresh = new Set(reservation.fresh.map(({ tenant, id }) => nameOf(tenant, id)))
  const mine = batch.filter((waiting) => fresh.has(idOf(waiting)))
  const ledger = new Ledger({ lane, keys, tiles, truths, truthKeys })
  openAccounts(ledger, mine, reservation)
  const decided = await composeAll(work, ledger, mine)
  if (decided.length > 0) {
    const changes = ledger.changes()
    const long = ledger.long()
    await timed(
      'store',
      together([
        ...storeDecisions(client, decided),
        writeTiles(client, lane, changes),
        ...(long.length > 0 ? [compactAccounts(client, long)] : []),
      ]),
    )
  }
  const outcomes = new Map<string, Outcome>()
  for (const [at, waiting] of mine.entries())
    outcomes.set(idOf(waiting), {
      bodySha256: waiting.bodySha256,
      response: withFeatures(decided[at]!.response, decided[at]!.answer.features),
      answer: decided[at]!.answer,
    })
  const known = batch.filter((waiting) => !fresh.has(idOf(waiting)))
  if (known.length > 0) {
    const ids = known.map(({ tenant, transaction }) => ({ tenant, id: transaction.transaction_id }))
    const stored = await findDecisions(client, ids)
    for (const [at, waiting] of known.entries()) outcomes.set(idOf(waiting), found(stored[at]))
  }
  return outcomes
}

/** Only retention takes ids away: then the next attempt finds it free. */
function found(stored: StoredDecision | undefined): StoredDecision {
  if (!stored) throw problems.unavailable({ detail: 'Try again', headers: { 'retry-after': '1' } })
  return stored
}

/** Gives the ledger the accounts as they were before the batch: what it added stands at their end. */
function openAccounts(ledger: Ledger, mine: readonly Waiting[], { accounts }: Reservation): void {
  for (const { tenant, id, recent, past } of accounts) {
    const added = mine
      .filter((waiting) => waiting.tenant === tenant && waiting.transaction.user_id === id)
      .reduce((bytes, { record }) => bytes + record.length, 0)
    ledger.open(tenant, id, { recent: recent.subarray(0, recent.length - added), past })
  }
}
