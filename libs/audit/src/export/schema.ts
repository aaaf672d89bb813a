import { z } from 'zod'
import { HASH_LENGTH } from '../merkle/hash.js'

const index = z.int().min(0)
const hash = z.base64().length(4 * Math.ceil(HASH_LENGTH / 3))
const hashes = z.array(hash).max(64)

/**
 * How the entries are proved. `entries`: every line has its own audit path (RFC 6962 2.1.1), lowest hash first.
 * `tiles`: the lines are all entries of `range`, `to` not among them; the hashes left and right of it lead to the root.
 */
const Range = z.strictObject({ from: index, to: index, left: hashes, right: hashes })

/** First line of an export. The checkpoint is a signed note; every proof leads to its root. */
export const ExportHeader = z.strictObject({
  type: z.literal('vigil-audit-export'),
  version: z.literal(1),
  /** What the entries were written as; for csv and fhir this file holds the proofs of the other. */
  format: z.enum(['ndjson', 'csv', 'fhir']),
  origin: z.string().min(1),
  tenant: z.string().min(1),
  filters: z.record(z.string(), z.json()),
  exported_at: z.iso.datetime(),
  checkpoint: z.string(),
  /** Verification keys, the log's first. They come from whoever wrote the file: compare them with those you hold. */
  keys: z.array(z.string()).min(1),
  /** Whether every place between the first and the last has a line, an entry or its hash; only `tiles` proves it. */
  complete: z.boolean(),
  proofs: z.enum(['entries', 'tiles']).default('entries'),
  range: Range.optional(),
  /** Proof that the tree of `from` entries is the beginning of the checkpoint's (RFC 6962 2.1.2). */
  consistency: z.strictObject({ from: index.min(1), proof: hashes }).optional(),
})
export type ExportHeader = z.infer<typeof ExportHeader>

/**
 * One entry. `body` is exactly the hashed bytes. Where a run is complete but an entry may not be shown (another
 * tenant's, or dropped after its period), `leaf` stands alone: its hash keeps the run provable. Nothing else may
 * stand in a line: it would look proved without being so.
 */
export const ExportLine = z
  .strictObject({
    log_index: index,
    body: z.base64().optional(),
    leaf: hash.optional(),
    /** The body for the reader; the verifier compares the two. */
    entry: z.record(z.string(), z.json()).optional(),
    proof: hashes.optional(),
  })
  .refine(({ body, leaf }) => body !== undefined || leaf !== undefined, 'a line has a body or a leaf')
export type ExportLine = z.infer<typeof ExportLine>

/** Last line: how many lines stand between it and the header, and SHA-256 over every byte before it. */
export const ExportEnd = z.strictObject({
  type: z.literal('end'),
  entries: index,
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
})
export type ExportEnd = z.infer<typeof ExportEnd>
