import { Counter, Gauge } from 'prom-client'
import { metrics } from '#libs/platform'
import { consistencyProof, type NodeReader } from './merkle/tree.js'
import type { SignedCheckpoint } from './published-file.js'
import { askWitness, type Witness } from './witness/client.js'

const failures = new Counter({
  name: 'audit_witness_failures_total',
  help: 'Checkpoints that a witness did not cosign, by reason',
  labelNames: ['witness', 'reason'],
  registers: [metrics],
})
const age = new Gauge({
  name: 'audit_witness_age_seconds',
  help: 'How long the newest checkpoint has been without the cosignature of a witness; 0 while it has it',
  labelNames: ['witness'],
  registers: [metrics],
})

export interface WitnessedLine {
  witness: string
  line: string
}

interface Options {
  witnesses: readonly Witness[]
  timeoutMs: number
  /** Told when a witness has seen another history than the log's: somebody set the log back, or forked it. */
  onConflict: (message: string) => void
}

/** What a log knows of one witness. */
interface Standing {
  /** Size that it cosigned last. */
  size: number
  /** Size at which it was last said to have another history. */
  told: number
  missingSince: number | undefined
  failures: number
  /** Not asked before then: a witness that hangs must not hold every checkpoint up. */
  retryAt: number
}

const LONGEST_PAUSE_MS = 30_000

/** Asks witnesses for cosignatures, remembering what each has seen. Nothing here ever fails: a silent witness is counted. */
export class Cosigners {
  private readonly standings: { witness: Witness; standing: Standing }[]

  constructor(private readonly options: Options) {
    this.standings = options.witnesses.map((witness) => ({
      witness,
      standing: { size: 0, told: 0, missingSince: undefined, failures: 0, retryAt: 0 },
    }))
    for (const { key } of options.witnesses) age.set({ witness: key.name }, 0)
  }

  /** Cosignatures over a checkpoint by those that have not cosigned it yet, of those that answer in time. */
  async collect(checkpoint: SignedCheckpoint, read: NodeReader): Promise<WitnessedLine[]> {
    const waiting = this.standings.filter(
      ({ standing }) => standing.size !== checkpoint.size || standing.missingSince !== undefined,
    )
    const lines = await Promise.all(
      waiting.map(async ({ witness, standing }) => {
        const due = Date.now() >= standing.retryAt
        const line = due ? await this.ask(witness, standing, checkpoint, read) : undefined
        if (due) this.pause(standing, line !== undefined)
        this.note(witness.key.name, standing, line !== undefined)
        return line === undefined ? [] : [{ witness: witness.key.name, line }]
      }),
    )
    return lines.flat()
  }

  private pause(standing: Standing, cosigned: boolean): void {
    standing.failures = cosigned ? 0 : standing.failures + 1
    const pause = cosigned ? 0 : Math.min(500 * 2 ** standing.failures, LONGEST_PAUSE_MS)
    standing.retryAt = Date.now() + pause
  }

  private note(witness: string, standing: Standing, cosigned: boolean): void {
    standing.missingSince = cosigned ? undefined : (standing.missingSince ?? Date.now())
    age.set(
      { witness },
      standing.missingSince === undefined ? 0 : (Date.now() - standing.missingSince) / 1000,
    )
  }

  /** The first answer may be the size that the witness knows: asked again from there, it cosigns or has another history. */
  private async ask(
    witness: Witness,
    standing: Standing,
    checkpoint: SignedCheckpoint,
    read: NodeReader,
  ): Promise<string | undefined> {
    const { size, note } = checkpoint
    for (let attempt = 0; attempt < 2; attempt++) {
      const oldSize = standing.size
      if (oldSize > size) return this.conflict(witness, standing, size)
      const proof = oldSize === 0 || oldSize === size ? [] : await consistencyProof(read, oldSize, size)
      const answer = await askWitness(witness, { oldSize, proof, note }, this.options.timeoutMs)
      if ('line' in answer) {
        standing.size = size
        return answer.line
      }
      if ('failure' in answer) {
        failures.inc({ witness: witness.key.name, reason: answer.failure })
        return answer.failure === 'status 422' ? this.conflict(witness, standing, size) : undefined
      }
      if (answer.size === oldSize) return this.conflict(witness, standing, size)
      standing.size = answer.size
    }
    return undefined
  }

  private conflict({ key }: Witness, standing: Standing, size: number): undefined {
    failures.inc({ witness: key.name, reason: 'another history' })
    if (standing.told !== size) {
      this.options.onConflict(
        `The witness ${key.name} cosigned a tree of ${standing.size} entries, which this one of ${size} does not continue`,
      )
    }
    standing.told = size
    return undefined
  }
}
