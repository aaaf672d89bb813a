import { z } from 'zod'
import { MODALITIES } from './modalities.js'

/** VR LO (PS3.5 6.2): at most 64 characters, no control characters, no backslash; outer spaces mean nothing. */
const longString = z
  .string()
  .trim()
  .min(1, 'must not be empty')
  .max(64, 'must be at most 64 characters')
  .regex(/^[^\p{Cc}\p{Cs}\\]*$/u, 'must not hold control characters or a backslash')
  .refine((text) => !text.includes('\uFFFD'), 'must be valid UTF-8')

/** What comes with an image. */
export const Submission = z
  .strictObject({
    patient_id: longString,
    physician_id: longString,
    modality: z.enum(MODALITIES, 'must be a modality code of DICOM PS3.3 C.7.3.1.1.1'),
  })
  .meta({ id: 'Submission' })
export type Submission = z.infer<typeof Submission>

/** Answer to an image that was taken in. */
export const Receipt = z
  .strictObject({ correlation_id: z.uuid(), status: z.literal('queued'), status_url: z.string() })
  .meta({ id: 'Receipt' })
export type Receipt = z.infer<typeof Receipt>
