import { Column, CreateDateColumn, Entity, Index, PrimaryColumn, PrimaryGeneratedColumn } from 'typeorm'

@Entity('payment')
@Index(['userId', 'eventTs'])
@Index(['merchantId', 'eventTs'])
export class Payment {
  @PrimaryColumn('text')
  id!: string

  @Column('text')
  userId!: string

  @Column('text')
  merchantId!: string

  @Column('bigint')
  amountMinor!: string

  @Column('text')
  currency!: string

  @Column('timestamptz')
  eventTs!: Date

  @Column('float8')
  latitude!: number

  @Column('float8')
  longitude!: number

  @Column('text')
  cell!: string

  @Column('text')
  paymentMethod!: string

  @Column('jsonb', { nullable: true })
  metadata?: unknown

  @Column('text', { nullable: true })
  fingerprint!: string | null

  @CreateDateColumn({ type: 'timestamptz' })
  createdAt!: Date
}

@Entity('decision')
@Index(['userId', 'createdAt'])
export class DecisionRecord {
  @PrimaryColumn('uuid')
  id!: string

  @Index({ unique: true })
  @Column('text')
  transactionId!: string

  @Column('text')
  userId!: string

  @Column('text')
  outcome!: string

  @Column('float8')
  score!: number

  @Column('jsonb')
  features!: Record<string, number>

  @Column('jsonb')
  response!: unknown

  @CreateDateColumn({ type: 'timestamptz' })
  createdAt!: Date
}

@Entity('label')
@Index(['merchantId', 'eventTs'])
@Index(['cell', 'eventTs'])
export class Label {
  @PrimaryGeneratedColumn({ type: 'bigint' })
  id!: string

  @Index()
  @Column('text')
  transactionId!: string

  @Column('text')
  merchantId!: string

  @Column('text')
  cell!: string

  @Column('boolean')
  fraud!: boolean

  @Column('timestamptz')
  eventTs!: Date

  @Column('timestamptz')
  labelledAt!: Date
}

@Entity('audit_log')
@Index(['subject'])
@Index(['createdAt'])
export class AuditLog {
  @PrimaryColumn('uuid')
  id!: string

  @Column('text')
  actor!: string

  @Column('text')
  action!: string

  @Column('text')
  subject!: string

  @Column('uuid')
  correlationId!: string

  @Column('jsonb')
  details!: unknown

  @CreateDateColumn({ type: 'timestamptz' })
  createdAt!: Date
}

@Entity('outbox_event')
export class OutboxEvent {
  @PrimaryColumn('uuid')
  id!: string

  @Column('text')
  topic!: string

  @Column('jsonb')
  payload!: unknown

  @CreateDateColumn({ type: 'timestamptz' })
  createdAt!: Date
}

export const entities = [Payment, DecisionRecord, Label, AuditLog, OutboxEvent]
