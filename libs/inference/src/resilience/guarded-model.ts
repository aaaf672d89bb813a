import { inSpan } from '#libs/platform'
import type { RunnableModel, Values } from '../model.js'
import type { Guard } from './guard.js'

/** A model behind a time-out, a breaker and a bulkhead: `run` may throw GuardError. */
export class GuardedModel implements RunnableModel {
  constructor(
    private readonly model: RunnableModel,
    private readonly guard: Guard,
  ) {}

  get card() {
    return this.model.card
  }

  get name() {
    return this.model.name
  }

  get version() {
    return this.model.version
  }

  get digest() {
    return this.model.digest
  }

  run(inputs: Record<string, Values>): Promise<Record<string, Values>> {
    const attributes = { 'vigil.model': `${this.name}/${this.version}` }
    return inSpan('model run', { attributes }, () => this.guard.run(() => this.model.run(inputs)))
  }

  close(): Promise<void> {
    return this.model.close()
  }
}
