import { z } from 'zod'
import { noCardNumber } from '#libs/platform'

/** PostgreSQL holds no NUL in text (datatype-character), and UTF-8 no half of a surrogate pair (RFC 3629 3). */
const isStorable = (text: string): boolean => !text.includes('\0') && !/\p{Surrogate}/u.test(text)

/** What somebody looks for by its name. Whoever looks leaves it in the log, which forgets nothing. */
export const identifier = z
  .string()
  .min(1)
  .max(128)
  .refine(...noCardNumber)
  .refine(isStorable, 'must not hold NUL or half a character')

/** PostgreSQL knows no year 0 and no zone of 16 hours or more; RFC 3339 can write both. */
const isKnown = (text: string): boolean => !/^0000|[+-](?:1[6-9]|2\d):\d\d$/.test(text)

/** A time of RFC 3339 that the database knows too. */
export const instant = z.iso
  .datetime({ offset: true })
  .refine(isKnown, 'must be of year 1 or later, in a zone of less than 16 hours')
