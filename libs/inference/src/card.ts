import { z } from 'zod'

const Tensor = z.strictObject({
  name: z.string().min(1),
  dtype: z.literal('float32'),
  /** Sizes of the axes; null where any size is accepted (the batch). */
  shape: z.array(z.int().positive().nullable()).min(1).max(5),
})

/** The machine-readable card that lies beside every model: what it takes, gives, was trained on and is for. */
export const ModelCard = z.strictObject({
  name: z.string().regex(/^[a-z0-9-]{1,64}$/),
  version: z.string().regex(/^v\d{1,6}$/),
  task: z.enum(['binary-classification']),
  /** SHA-256 of model.onnx, lower-case hexadecimal. */
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  /** Whether equal inputs always give equal outputs, so that results may be cached. */
  pure: z.boolean(),
  inputs: z.array(Tensor).min(1),
  outputs: z.array(Tensor).min(1),
  /** Names of the input's columns, in order, where it is a table of features. */
  features: z.array(z.string()).optional(),
  /** Score that stands for "nothing known" in explanations: the value of each feature in a plain payment. */
  reference: z.record(z.string(), z.number()).optional(),
  preprocessing: z
    .strictObject({
      photometric: z.literal('MONOCHROME2'),
      resize: z.literal('area'),
      width: z.int().positive(),
      height: z.int().positive(),
      scale: z.literal('0..1'),
    })
    .optional(),
  domain: z.strictObject({ modalities: z.array(z.string()), min_size: z.int().positive() }).optional(),
  labels: z.array(z.string()).optional(),
  threshold: z.number().min(0).max(1).optional(),
  temperature: z.number().positive().optional(),
  metrics: z.record(z.string(), z.union([z.number(), z.string()])),
  data: z.record(z.string(), z.union([z.number(), z.string()])),
  intended_use: z.string(),
  limits: z.string(),
})
export type ModelCard = z.infer<typeof ModelCard>
