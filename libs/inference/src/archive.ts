import { access } from 'node:fs/promises'
import { join } from 'node:path'
import { ModelError } from './error.js'
import { type LoadOptions, Model, type RunnableModel } from './model.js'

/** A model as a record names it. */
export interface ModelReference {
  name: string
  version: string
  /** SHA-256 of the artifact that was used. */
  digest: string
}

/** Why a recorded model cannot be run again. */
export type Unavailable = { missing: 'gone' | 'altered' }

/** Loaded models that are kept for the next question. */
const MOST_OPEN = 4
const NAME = /^[a-z0-9-]{1,64}$/
const VERSION = /^v\d{1,6}$/

const exists = (path: string) =>
  access(path).then(
    () => true,
    () => false,
  )

/** Every model version that is still on disk, `<folder>/<name>/<version>`, to run what was run before. */
export class ModelArchive {
  private readonly open = new Map<string, Promise<RunnableModel>>()

  constructor(
    private readonly folder: string,
    private readonly options: LoadOptions = {},
  ) {}

  /** The very artifact that a record names: `gone` where its version is not there, `altered` where its bytes differ. */
  async find({ name, version, digest }: ModelReference): Promise<RunnableModel | Unavailable> {
    const folder = join(this.folder, name, version)
    if (!NAME.test(name) || !VERSION.test(version) || !(await exists(folder))) return { missing: 'gone' }
    try {
      const model = await this.load(folder)
      return model.digest === digest ? model : { missing: 'altered' }
    } catch (error) {
      // Not what was signed, or not what its card says: so not what the record names either.
      if (error instanceof ModelError) return { missing: 'altered' }
      throw error
    }
  }

  private load(folder: string): Promise<RunnableModel> {
    const model = this.open.get(folder) ?? Model.load(folder, this.options)
    // Last used last: the first of the map is let go, and freed when no question runs on it any more.
    this.open.delete(folder)
    this.open.set(folder, model)
    model.catch(() => this.open.delete(folder))
    if (this.open.size > MOST_OPEN) this.open.delete(this.open.keys().next().value!)
    return model
  }

  async close(): Promise<void> {
    const loaded = await Promise.allSettled(this.open.values())
    this.open.clear()
    for (const result of loaded) if (result.status === 'fulfilled') await result.value.close()
  }
}
