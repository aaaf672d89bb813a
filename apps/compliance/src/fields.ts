import { z } from 'zod'
import { noCardNumber } from '#libs/platform'

/** No control characters, which a reader does not see, and no half of a surrogate pair (RFC 3629 3). */
export const withoutControls = [/^[^\p{Cc}\p{Cs}]*$/u, 'must not hold control characters'] as const

/** A patient's own identifier: one that holds a character nobody sees would name nobody. */
export const patientIdentifier = z
  .string()
  .min(1)
  .max(128)
  .regex(...withoutControls)

/** What somebody looks for by its name. Whoever looks leaves it in the log, which forgets nothing. */
export const identifier = z
  .string()
  .min(1)
  .max(128)
  .refine(...noCardNumber)
  .regex(...withoutControls)

/** PostgreSQL knows no year 0 and no zone of 16 hours or more; RFC 3339 can write both. */
const isKnown = (text: string): boolean => !/^0000|[+-](?:1[6-9]|2\d):\d\d$/.test(text)

/** A time of RFC 3339 that the database knows too. */
export const instant = z.iso
  .datetime({ offset: true })
  .refine(isKnown, 'must be of year 1 or later, in a zone of less than 16 hours')
