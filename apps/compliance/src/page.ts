import { z } from 'zod'
import { problems } from '#libs/platform'
import { instant } from './fields.js'

/** Where a page ended: time (with microseconds) and id of the last thing on it. */
export interface Position {
  at: string
  id: string
}

const Shape = z.tuple([instant, z.uuid()])

export const encodePosition = ({ at, id }: Position): string =>
  Buffer.from(JSON.stringify([at, id])).toString('base64url')

/** Reads the cursor of a request; throws the 400 problem where it is none of ours. */
export function decodePosition(cursor: string | undefined): Position | undefined {
  if (cursor === undefined) return undefined
  try {
    const [at, id] = Shape.parse(JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8')))
    return { at, id }
  } catch {
    throw problems.invalidRequest({
      detail: 'Not valid: /cursor',
      errors: [{ pointer: '/cursor', detail: 'Not a cursor of this list' }],
    })
  }
}

/** Cuts the one row off that tells of a next page. */
export function pageOf<T>(rows: T[], limit: number, positionOf: (row: T) => Position) {
  const page = rows.slice(0, limit)
  const last = rows.length > limit ? page.at(-1) : undefined
  return { page, next_cursor: last === undefined ? null : encodePosition(positionOf(last)) }
}
