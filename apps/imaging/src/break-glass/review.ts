import type { PoolClient } from 'pg'
import { appendAudit } from '#libs/audit'
import type { Principal } from '#libs/auth'
import { existingDataKey, KeyDestroyedError, openField, sealField } from '#libs/crypto'
import { inTransaction } from '#libs/platform'
import type { Imaging } from '../imaging.js'
import { entryOf, keyScopeOf, placeOf } from './break.js'
import {
  type GrantDetail,
  type GrantPage,
  type GrantView,
  mayReview,
  type QueueQuery,
  type Review,
} from './grant.js'
import { findGrant, type GrantState, insertReview, listGrants } from './grants.sql.js'

const viewOf = ({ review, ...grant }: GrantState): GrantView => ({
  grant_id: grant.id,
  correlation_id: grant.correlationId,
  actor: grant.actor,
  reason: 'BTG',
  purpose_of_use: grant.purpose,
  granted_at: grant.grantedAt.toISOString(),
  expires_at: grant.expiresAt.toISOString(),
  reads: grant.reads,
  ...(review
    ? {
        review: {
          outcome: review.outcome,
          reviewer: review.reviewer,
          reviewed_at: review.reviewedAt.toISOString(),
        },
      }
    : {}),
})

/** The queue of what waits for a judgement, oldest first. */
export async function reviewQueue(
  imaging: Imaging,
  caller: Principal,
  query: QueueQuery,
): Promise<GrantPage> {
  return inTransaction(imaging.pool, async (client) => {
    const grants = await listGrants(client, caller.tenant, { ...query, limit: query.limit + 1 })
    const page = grants.slice(0, query.limit)
    await appendAudit(client, {
      ...entryOf(caller, 'BREAK_GLASS_LISTED', undefined),
      outcome: 'success',
      details: { status: query.status, results: page.length },
    })
    const last = grants.length > page.length ? page.at(-1) : undefined
    return { grants: page.map(viewOf), next_cursor: last?.id ?? null }
  })
}

const keyOf = async (client: PoolClient, imaging: Imaging, grant: GrantState) => {
  try {
    return await existingDataKey(client, imaging.keyring, keyScopeOf(grant))
  } catch (error) {
    if (error instanceof KeyDestroyedError) return undefined
    throw error
  }
}

/** One grant with its explanation, after the entry that says who read it. */
export async function examine(
  imaging: Imaging,
  caller: Principal,
  id: string,
): Promise<GrantDetail | undefined> {
  return inTransaction(imaging.pool, async (client) => {
    const known = await findGrant(client, caller.tenant, id)
    await appendAudit(client, {
      ...entryOf(caller, 'BREAK_GLASS_EXAMINED', id),
      outcome: known ? 'success' : 'denied',
      ...(known ? { patientRef: known.grant.patientRef, correlationId: known.grant.correlationId } : {}),
    })
    if (!known) return undefined
    const key = await keyOf(client, imaging, known.grant)
    const explanation = key && openField(key, placeOf(known.grant, 'explanation'), known.grant.explanation)
    return { ...viewOf(known.grant), explanation: explanation?.toString('utf8') ?? null }
  })
}

export type Judgement = 'reviewed' | 'missing' | 'own' | 'already'

/** Marks a grant as reviewed, once, by somebody else than who used it. */
export async function review(
  imaging: Imaging,
  caller: Principal,
  id: string,
  { outcome, note }: Review,
): Promise<Judgement> {
  return inTransaction(imaging.pool, async (client) => {
    const known = await findGrant(client, caller.tenant, id)
    const judgement = known ? await judge(client, imaging, caller, known.grant, { outcome, note }) : 'missing'
    await appendAudit(client, {
      ...entryOf(caller, 'BREAK_GLASS_REVIEWED', id),
      outcome: judgement === 'reviewed' ? 'success' : 'denied',
      ...(known ? { patientRef: known.grant.patientRef, correlationId: known.grant.correlationId } : {}),
      details: { outcome, result: judgement },
    })
    return judgement
  })
}

async function judge(
  client: PoolClient,
  imaging: Imaging,
  caller: Principal,
  grant: GrantState,
  { outcome, note }: Review,
): Promise<Judgement> {
  if (!mayReview(grant, caller.actor())) return 'own'
  const key = note === undefined ? undefined : await keyOf(client, imaging, grant)
  const sealed = key && note ? sealField(key, placeOf(grant, 'note'), Buffer.from(note, 'utf8')) : null
  const isFirst = await insertReview(client, grant.id, { reviewer: caller.actor(), outcome, note: sealed })
  return isFirst ? 'reviewed' : 'already'
}
