import { v7 } from 'uuid'

/** A new UUIDv7 (RFC 9562 5.7): time-ordered, random, derived from nobody's data. */
export const newId = (): string => v7()

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/

/** Whether a string is a UUID in its canonical lower-case text form (RFC 9562 4). */
export const isUuid = (text: string): boolean => UUID.test(text)
