import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import type { KeyProvider } from '#libs/crypto'
import { ModelCard } from './card.js'
import { ModelError } from './error.js'
import { trustedKeys, verifyModel } from './signing/artifact.js'

/** One input or output: numbers in row-major order, and the sizes of the axes. */
export interface Values {
  data: Float32Array
  dims: readonly number[]
}

type Shape = readonly (number | null)[]

const fits = (dims: readonly number[], shape: Shape): boolean =>
  dims.length === shape.length && shape.every((size, axis) => size === null || size === dims[axis])

function parseCard(folder: string, bytes: Buffer): ModelCard {
  const result = ModelCard.safeParse(JSON.parse(bytes.toString('utf8')))
  if (result.success) return result.data
  const issues = result.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`)
  throw new ModelError(`The card of ${folder} is not valid: ${issues.join('; ')}`)
}

/** Names in the artifact that the card lacks, and the other way round. */
function refuseDifference(what: string, declared: string[], actual: readonly string[]): void {
  const missing = declared.filter((name) => !actual.includes(name))
  if (missing.length > 0)
    throw new ModelError(`The card declares ${what} that the model has not: ${missing.join(', ')}`)
}

/** A model that can be asked, wherever it runs. */
export interface RunnableModel {
  readonly card: ModelCard
  readonly name: string
  readonly version: string
  /** SHA-256 of the artifact: what a decision's audit entry names. */
  readonly digest: string
  /** Runs the model on every input that the card declares and returns every declared output. */
  run(inputs: Record<string, Values>): Promise<Record<string, Values>>
  close(): Promise<void>
}

export interface LoadOptions {
  /** Folder of the public keys that are believed; `keys` in the models folder, where none is given. */
  trusted?: string | undefined
  /** Unwraps the data key of a model that is stored encrypted. */
  provider?: Pick<KeyProvider, 'unwrap'>
}

const CARD = 'card.json'
const ARTIFACT = 'model.onnx'

/** The card and the artifact of a folder, verified. */
async function readModel(folder: string, { trusted, provider }: LoadOptions) {
  const keys = await trustedKeys(trusted ?? join(folder, '..', '..', 'keys'))
  const { files } = await verifyModel(folder, { keys, ...(provider ? { provider } : {}) }, [CARD, ARTIFACT])
  const { [CARD]: card, [ARTIFACT]: artifact } = files
  if (!card || !artifact) throw new ModelError(`${folder} needs ${CARD} and ${ARTIFACT}, both signed`)
  return { card: parseCard(folder, card), artifact }
}

/** A model in this process (ONNX Runtime, one thread). */
export class Model implements RunnableModel {
  private constructor(
    readonly card: ModelCard,
    readonly digest: string,
    private readonly session: InferenceSession,
  ) {}

  get name(): string {
    return this.card.name
  }

  get version(): string {
    return this.card.version
  }

  /**
   * Loads `model.onnx` beside `card.json`. Throws ModelError where the folder is not signed by a trusted key, or any
   * file of it is not what was signed, or the artifact's digest is not the card's.
   */
  static async load(folder: string, options: LoadOptions = {}): Promise<Model> {
    const { card, artifact } = await readModel(folder, options)
    const digest = createHash('sha256').update(artifact).digest('hex')
    if (digest !== card.sha256) {
      throw new ModelError(`The model in ${folder} has the digest ${digest}, its card says ${card.sha256}`)
    }
    const session = await InferenceSession.create(artifact, {
      intraOpNumThreads: 1,
      interOpNumThreads: 1,
      executionProviders: ['cpu'],
      logSeverityLevel: 3,
    })
    refuseDifference(
      'inputs',
      card.inputs.map((input) => input.name),
      session.inputNames,
    )
    refuseDifference(
      'outputs',
      card.outputs.map((output) => output.name),
      session.outputNames,
    )
    return new Model(card, digest, session)
  }

  async run(inputs: Record<string, Values>): Promise<Record<string, Values>> {
    const feeds = Object.fromEntries(
      this.card.inputs.map(({ name, shape }) => [name, this.tensor(name, shape, inputs[name])]),
    )
    const results = await this.session.run(
      feeds,
      this.card.outputs.map((output) => output.name),
    )
    const values = this.card.outputs.map(({ name }) => {
      const tensor = results[name]!
      return [name, { data: tensor.data as Float32Array, dims: tensor.dims }] as const
    })
    return Object.fromEntries(values)
  }

  private tensor(name: string, shape: Shape, input: Values | undefined): Tensor {
    const wanted = `[${shape.map((size) => size ?? 'n').join(', ')}]`
    if (!input) throw new ModelError(`${this.name} needs the input ${name} ${wanted}`)
    const count = input.dims.reduce((product, size) => product * size, 1)
    if (!fits(input.dims, shape) || count !== input.data.length) {
      throw new ModelError(
        `${this.name} takes ${name} as ${wanted}, not [${input.dims.join(', ')}] with ${input.data.length} values`,
      )
    }
    return new Tensor('float32', input.data, [...input.dims])
  }

  /** Frees the session's memory. */
  async close(): Promise<void> {
    await this.session.release()
  }
}
