const HEAD = Buffer.from('{"entry":')
/** What `audit.append` writes after the caller's part. */
const TAIL = /^,"recorded_at":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"\}$/
const TAIL_LENGTH = ',"recorded_at":"2026-01-01T00:00:00.000000Z"}'.length
const BRACE = 0x7d

/**
 * The entry of a body for the reader, as JSON in UTF-8: the members of `entry` with `recorded_at` among them.
 * Undefined where the body is not what `audit.append` writes.
 */
export function readableEntry(body: Buffer): Buffer | undefined {
  const end = body.length - TAIL_LENGTH
  const shaped =
    end > HEAD.length + 2 &&
    body.subarray(0, HEAD.length).equals(HEAD) &&
    body[end - 1] === BRACE &&
    TAIL.test(body.toString('latin1', end))
  return shaped ? Buffer.concat([body.subarray(HEAD.length, end - 1), body.subarray(end)]) : undefined
}
