import { problems } from './problem.js'

/** Deepest nesting of arrays and objects that a JSON body may have. */
export const MAX_JSON_DEPTH = 32

const utf8 = new TextDecoder('utf-8', { fatal: true })
const QUOTE = 0x22
const BACKSLASH = 0x5c

/** Depth of nesting, found without building anything: a deep body must not reach the recursive parser. */
function exceedsDepth(bytes: Uint8Array, limit: number): boolean {
  let depth = 0
  let quoted = false
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at]
    if (quoted) {
      if (byte === BACKSLASH) at++
      else if (byte === QUOTE) quoted = false
    } else if (byte === QUOTE) quoted = true
    else if (byte === 0x5b || byte === 0x7b) {
      if (++depth > limit) return true
    } else if (byte === 0x5d || byte === 0x7d) depth--
  }
  return false
}

const refuse = (detail: string) => problems.invalidRequest({ detail, errors: [{ pointer: '', detail }] })

/**
 * Parses a JSON body (RFC 8259): strict UTF-8, limited nesting, no `__proto__` or `constructor.prototype`
 * member. Throws a problem whose text never quotes the body.
 */
export function parseJson(bytes: Uint8Array): unknown {
  if (bytes.length === 0) return undefined
  if (exceedsDepth(bytes, MAX_JSON_DEPTH)) throw refuse(`JSON is nested deeper than ${MAX_JSON_DEPTH} levels`)
  let text: string
  try {
    text = utf8.decode(bytes)
  } catch {
    throw refuse('The body is not valid UTF-8')
  }
  try {
    return JSON.parse(text, refusePollution)
  } catch (error) {
    if (error instanceof PollutionError) throw refuse('A member name is not allowed')
    throw refuse('The body is not valid JSON')
  }
}

class PollutionError extends Error {}

function refusePollution(this: object, key: string, value: unknown): unknown {
  const polluting =
    key === '__proto__' ||
    (key === 'constructor' &&
      typeof value === 'object' &&
      value !== null &&
      Object.hasOwn(value, 'prototype'))
  if (polluting) throw new PollutionError()
  return value
}

/** Parses a form body (application/x-www-form-urlencoded); a repeated field is refused (RFC 6749 3.2). */
export function parseForm(bytes: Uint8Array): Record<string, string> {
  let text: string
  try {
    text = utf8.decode(bytes)
  } catch {
    throw refuse('The body is not valid UTF-8')
  }
  const fields = new Map<string, string>()
  for (const [name, value] of new URLSearchParams(text)) {
    if (fields.has(name)) throw refuse('A form field is repeated')
    if (fields.size >= 32) throw refuse('The form has too many fields')
    fields.set(name, value)
  }
  return Object.fromEntries(fields)
}
