import { z } from 'zod'
import { Reason } from '../approvals/approval.js'
import { RETENTION_CLASSES } from '../holds/hold.js'

/** Why a month of the trail stays. */
export const OBSTACLES = {
  missing: 'There is no such month of the trail',
  empty: 'The month holds no entries',
  not_oldest: 'An older month still holds entries: the trail is dropped from its beginning',
  not_due: 'Not every class of the month is past its period',
  pending: 'Entries of the month are not in the tree yet: try again in a second',
  held: 'A legal hold covers entries of the month',
} as const
export type Obstacle = keyof typeof OBSTACLES

export const Retention = z
  .strictObject({
    classes: z.array(z.strictObject({ class: z.enum(RETENTION_CLASSES), period: z.string() })),
    /** Lowest index whose entry is published. */
    minimum_index: z.int(),
    months: z.array(
      z.strictObject({
        partition: z.string(),
        from: z.iso.datetime(),
        to: z.iso.datetime(),
        /** When the longest period of the classes in it ends. */
        due_at: z.iso.datetime().nullable(),
        /** Why it cannot be dropped now; null where it can. */
        obstacle: z.string().nullable(),
      }),
    ),
    dropped: z.array(
      z.strictObject({
        partition: z.string(),
        entries: z.int(),
        first_index: z.int().nullable(),
        last_index: z.int().nullable(),
        digest: z.string(),
        approval: z.uuid(),
        dropped_at: z.iso.datetime(),
      }),
    ),
  })
  .meta({ id: 'Retention' })
export type Retention = z.infer<typeof Retention>

export const NewDrop = z
  .strictObject({
    partition: z.string().regex(/^entry_\d{4}_\d{2}$/, 'must be a month of the trail, such as entry_2026_01'),
    reason: Reason,
  })
  .meta({ id: 'NewRetentionDrop' })
export type NewDrop = z.infer<typeof NewDrop>
