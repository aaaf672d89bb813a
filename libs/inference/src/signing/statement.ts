import { createHash } from 'node:crypto'
import { z } from 'zod'

export const PREDICATE_TYPE = 'https://model_signing/signature/v1.0'
const STATEMENT_TYPE = 'https://in-toto.io/Statement/v1'

const hex = z.string().regex(/^[0-9a-f]+$/)
const HashName = z.enum(['sha256', 'blake2b', 'blake3'])

const Serialization = z
  .strictObject({
    method: z.enum(['files', 'shards']),
    hash_type: HashName,
    shard_size: z.int().positive().optional(),
    allow_symlinks: z.boolean(),
    ignore_paths: z.array(z.string().min(1)).optional(),
  })
  .refine(({ method, shard_size }) => (method === 'shards') === (shard_size !== undefined), {
    message: 'shard_size goes with the method shards, and only with it',
  })

/** In-toto Statement v1 with the predicate of OpenSSF Model Signing v1.0. */
export const Statement = z.strictObject({
  _type: z.literal(STATEMENT_TYPE),
  subject: z.array(z.looseObject({ name: z.string().min(1), digest: z.record(z.string(), hex) })).length(1),
  predicateType: z.literal(PREDICATE_TYPE),
  predicate: z.strictObject({
    resources: z.array(z.looseObject({ name: z.string().min(1), digest: hex, algorithm: HashName })),
    serialization: Serialization,
  }),
})
export type Statement = z.infer<typeof Statement>

/** SHA-256 (lower-case hexadecimal) of every file of a model, by its path within the model. */
export type Manifest = ReadonlyMap<string, string>

/** Digest of a model as a whole: SHA-256 over the digests of its files, in the statement's order. */
const rootDigest = (digests: readonly string[]): string =>
  createHash('sha256')
    .update(Buffer.concat(digests.map((digest) => Buffer.from(digest, 'hex'))))
    .digest('hex')

/** The statement that says: a model of this name is these files. Pure. */
export function statementOf(name: string, manifest: Manifest, ignored: readonly string[]): Statement {
  const files = [...manifest].sort(([a], [b]) => (a < b ? -1 : 1))
  return {
    _type: STATEMENT_TYPE,
    subject: [{ name, digest: { sha256: rootDigest(files.map(([, digest]) => digest)) } }],
    predicateType: PREDICATE_TYPE,
    predicate: {
      serialization: {
        method: 'files',
        hash_type: 'sha256',
        allow_symlinks: false,
        ignore_paths: [...ignored],
      },
      resources: files.map(([file, digest]) => ({ name: file, algorithm: 'sha256' as const, digest })),
    },
  }
}

/** The files that a statement vouches for, or why it cannot be relied on. Pure. */
export function manifestOf(statement: Statement): { manifest: Manifest } | { refused: string } {
  const { resources, serialization } = statement.predicate
  if (serialization.method !== 'files' || resources.some(({ algorithm }) => algorithm !== 'sha256'))
    return { refused: 'its signature is over parts or hashes of a kind that is not supported' }
  const manifest = new Map(resources.map(({ name, digest }) => [name, digest]))
  if (manifest.size !== resources.length) return { refused: 'its signature names a file twice' }
  const root = rootDigest(resources.map(({ digest }) => digest))
  if (root !== statement.subject[0]!.digest.sha256)
    return { refused: 'its signature contradicts itself: the digest of the whole is not that of the files' }
  return { manifest }
}
