import { createHash, randomUUID } from 'node:crypto'
import { ConflictException, Inject, Injectable } from '@nestjs/common'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { DataSource, type EntityManager } from 'typeorm'
import { AuditLog, DecisionRecord, OutboxEvent, Payment } from './entities.js'
import { cellOf, featuresOf } from './features.js'
import type { PaymentBody } from './schema.js'

export const SESSION = Symbol('session')
export interface ScoringSession {
  session: InferenceSession
  features: readonly string[]
  reference: Record<string, number>
}

const fingerprintOf = (body: PaymentBody) => createHash('sha256').update(JSON.stringify(body)).digest('hex')

/** One payment after the other, each in a transaction of its own: what a team writes first. */
@Injectable()
export class DecisionsService {
  constructor(
    private readonly dataSource: DataSource,
    @Inject(SESSION) private readonly model: ScoringSession,
  ) {}

  decide(body: PaymentBody, clientId: string): Promise<unknown> {
    const startedAt = performance.now()
    return this.dataSource.transaction(async (manager) => {
      const stored = await this.find(manager, body)
      if (stored) return stored
      const features = await featuresOf(manager, body)
      const { probability, reasons } = await this.score(features)
      const outcome = probability >= 0.7 ? 'decline' : probability >= 0.2 ? 'review' : 'approve'
      const response = {
        transaction_id: body.transaction_id,
        decision_id: randomUUID(),
        decision: outcome,
        risk_score: probability,
        reasons,
        features,
        model: { name: 'fraud-gbdt', version: 'v1' },
        policy_version: 'policy-1',
        audit_entry_id: randomUUID(),
        correlation_id: randomUUID(),
        processing_time_ms: performance.now() - startedAt,
      }
      await this.store(manager, body, response, clientId)
      return response
    })
  }

  private async find(manager: EntityManager, body: PaymentBody): Promise<unknown> {
    const payment = await manager.findOneBy(Payment, { id: body.transaction_id })
    if (!payment) return undefined
    if (payment.fingerprint !== fingerprintOf(body)) throw new ConflictException()
    return (await manager.findOneByOrFail(DecisionRecord, { transactionId: payment.id })).response
  }

  /** The score, and each feature's share of it: the score less what it is with that feature at its usual value. */
  private async score(features: Record<string, number>) {
    const { session, features: names, reference } = this.model
    const width = names.length
    const rows = new Float32Array(width * (width + 1))
    for (let row = 0; row <= width; row++) {
      for (const [at, name] of names.entries()) rows[row * width + at] = features[name]!
      const changed = names[row - 1]
      if (changed) rows[row * width + row - 1] = reference[changed] ?? 0
    }
    const { probabilities } = await session.run({ features: new Tensor('float32', rows, [width + 1, width]) })
    const fraud = (row: number) => (probabilities!.data as Float32Array)[row * 2 + 1]!
    const reasons = names
      .map((feature, at) => ({ feature, value: features[feature]!, contribution: fraud(0) - fraud(at + 1) }))
      .filter((reason) => reason.contribution > 0.01)
      .sort((a, b) => b.contribution - a.contribution)
      .slice(0, 4)
    return { probability: fraud(0), reasons }
  }

  private async store(
    manager: EntityManager,
    body: PaymentBody,
    response: {
      decision_id: string
      audit_entry_id: string
      correlation_id: string
      decision: string
      risk_score: number
      features: Record<string, number>
    },
    clientId: string,
  ): Promise<void> {
    await manager.insert(Payment, {
      id: body.transaction_id,
      userId: body.user_id,
      merchantId: body.merchant_id,
      amountMinor: String(Math.round(body.amount * 100)),
      currency: body.currency,
      eventTs: new Date(body.timestamp),
      latitude: body.location.latitude,
      longitude: body.location.longitude,
      cell: cellOf(body.location),
      paymentMethod: body.payment_method,
      metadata: body.metadata as never,
      fingerprint: fingerprintOf(body),
    })
    await manager.insert(DecisionRecord, {
      id: response.decision_id,
      transactionId: body.transaction_id,
      userId: body.user_id,
      outcome: response.decision,
      score: response.risk_score,
      features: response.features,
      response: response as never,
    })
    await manager.insert(AuditLog, {
      id: response.audit_entry_id,
      actor: clientId,
      action: 'TRANSACTION_DECIDED',
      subject: body.transaction_id,
      correlationId: response.correlation_id,
      details: { decision: response.decision, score: response.risk_score } as never,
    })
    await manager.insert(OutboxEvent, {
      id: randomUUID(),
      topic: `decision.${response.decision}`,
      payload: { transaction_id: body.transaction_id, decision: response.decision } as never,
    })
  }
}
