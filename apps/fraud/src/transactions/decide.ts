import type { Duplex } from 'node:stream'
import type pg from 'pg'
import type { Logger } from 'pino'
import { Counter, Histogram } from 'prom-client'
import type { Actor, Principal } from '#libs/auth'
import { type Guard, GuardError, type RunnableModel } from '#libs/inference'
import {
  type Correlation,
  correlation,
  inSpan,
  inTransaction,
  isUnavailable,
  metrics,
  newId,
  problems,
  sqlState,
  withCorrelation,
} from '#libs/platform'
import { accountRecord } from '../features/account.js'
import { factsOf } from '../features/facts.js'
import { computeFeatures, FEATURES, type Features } from '../features/features.js'
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
import { type Policy, ruleHits } from '../policy/policy.js'
import { type Score, score } from '../scoring/score.js'
import type { Decision } from './answer.js'
import { Batcher, type BatchLimits, type Ended } from './batcher.js'
import {
  type Arrival,
  type Decided,
  featureSetOf,
  findDecisions,
  type Reservation,
  reserve,
  type StoredDecision,
  storeDecisions,
} from './decide.sql.js'
import { decisionOf, entryOf } from './decision.js'
import { pack, withFeatures, withoutFeatures } from './snapshot.js'
import { fingerprint, type Transaction } from './transaction.js'

const decisions = new Counter({
  name: 'fraud_decisions_total',
  help: 'Payments decided, by outcome',
  labelNames: ['decision', 'degraded'],
  registers: [metrics],
})
const steps = new Histogram({
  name: 'fraud_step_duration_seconds',
  help: 'Time of each step of a batch of decisions in seconds',
  labelNames: ['step'],
  buckets: [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1],
  registers: [metrics],
})

const lockWait = new Histogram({
  name: 'fraud_lock_wait_seconds',
  help: 'Time until a batch of decisions holds the ids and accounts of its payments, in seconds',
  buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 10],
  registers: [metrics],
})

/** What deciding needs. */
export interface DeskParts {
  /** For everything but decisions. */
  pool: pg.Pool
  /** Connections of decisions alone, in pipeline mode; at least as many as lanes. */
  lanes: pg.Pool
  /** Around every transaction of decisions; its signal cuts the connection. Without one it may take any time. */
  guard?: Pick<Guard, 'run'>
  model: RunnableModel
  policy: Policy
  logger: Logger
  limits: BatchLimits
}

/** Where payments are decided. */
export interface Desk extends DeskParts {
  batcher: Batcher<Waiting, Answer>
}

/** An answer as bytes, and whether it was given before. */
export interface Answer {
  response: string
  replayed: boolean
}

/** A payment on its way to a batch. */
interface Waiting extends Arrival {
  actor: Actor
  correlation: Correlation
  startedAt: number
}

const timed = async <T>(step: string, work: Promise<T>): Promise<T> => {
  const end = steps.startTimer({ step })
  try {
    return await work
  } finally {
    end()
  }
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

type Work = DeskParts & { featureSet: number; truths: TruthMemory }

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

const IN_FAILED_TRANSACTION = '25P02'

/**
 * Waits for statements that were sent together. Where one fails all behind it fail for that: the cause is thrown, once
 * nothing is under way any more.
 */
async function together<T extends readonly unknown[]>(
  statements: readonly [...{ [K in keyof T]: Promise<T[K]> }],
): Promise<T> {
  const ends = await Promise.allSettled(statements)
  const failures = ends.flatMap((end) => (end.status === 'rejected' ? [end.reason as unknown] : []))
  if (failures.length > 0)
    throw failures.find((failure) => sqlState(failure) !== IN_FAILED_TRANSACTION) ?? failures[0]
  return ends.map((end) => (end as PromiseFulfilledResult<unknown>).value) as unknown as T
}

/** Ends a connection without a word: a server that stands still would not hear one. */
const cut = (client: pg.PoolClient) =>
  (client as unknown as { connection: { stream: Duplex } }).connection.stream.destroy()

/**
 * Runs work in a transaction. Statements of a connection in pipeline mode need not wait for each other. When the signal
 * is aborted the connection is cut.
 */
async function inLane<T>(
  pool: pg.Pool,
  signal: AbortSignal,
  work: (client: pg.PoolClient) => Promise<T>,
): Promise<T> {
  const client = await pool.connect()
  const giveUp = () => cut(client)
  let broken: Error | undefined
  try {
    signal.throwIfAborted()
    signal.addEventListener('abort', giveUp)
    const [, result] = await together([client.query('BEGIN'), work(client)])
    await timed('commit', client.query('COMMIT'))
    return result
  } catch (error) {
    await client.query('ROLLBACK').catch((failure: Error) => {
      broken = failure
    })
    throw error
  } finally {
    signal.removeEventListener('abort', giveUp)
    client.release(broken)
  }
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

/** The model's scores, or why there are none: then the rules decide alone, and the answers say so. */
async function tryScore(
  { model, logger }: Work,
  payments: readonly Features[],
): Promise<(Score | { failure: string })[]> {
  try {
    const explained = (at: number) => ruleHits(payments[at]!).length > 0
    return await timed('score', score(model, payments, explained))
  } catch (err) {
    // That a breaker opened is told once; what it refuses is counted.
    if (!(err instanceof GuardError) || err.refusal === 'timeout')
      logger.error(
        { err, model: `${model.name}/${model.version}` },
        'the model failed: the rules decide alone',
      )
    const failure = err instanceof GuardError ? err.message : 'the model could not be run'
    return payments.map(() => ({ failure }))
  }
}

async function composeAll(work: Work, ledger: Ledger, batch: readonly Waiting[]): Promise<Decided[]> {
  const features = batch.map(({ tenant, transaction, facts }) => {
    const windows = ledger.windowsOf(tenant, facts)
    ledger.add(tenant, facts)
    return computeFeatures(transaction, windows)
  })
  if (batch.length === 0) return []
  const scores = await tryScore(work, features)
  return batch.map((waiting, at) => compose(work, waiting, features[at]!, scores[at]!))
}

function compose(
  { model, policy, featureSet }: Work,
  waiting: Waiting,
  features: Features,
  scored: Score | { failure: string },
): Decided {
  const { tenant, transaction, facts } = waiting
  const answer = decisionOf(features, {
    transactionId: transaction.transaction_id,
    decisionId: newId(),
    auditEntryId: newId(),
    correlationId: waiting.correlation.correlationId,
    policy,
    scored,
    scorer: model,
    elapsed: performance.now() - waiting.startedAt,
  })
  return {
    tenant,
    transaction,
    facts,
    answer,
    features: pack(features, FEATURES),
    featureSet,
    modelDigest: answer.model ? model.digest : null,
    response: withoutFeatures(answer),
    audit: entryOf(waiting, answer, model),
    traceparent: waiting.correlation.traceparent,
  }
}
