import { jsonDefect } from './json.js'
import { type ProblemError, problems } from './problem.js'

/** Deepest nesting of arrays and objects that a JSON body may have. */
export const MAX_JSON_DEPTH = 32
/** Most members that all objects of a JSON body may have together. */
export const MAX_JSON_MEMBERS = 10_000

const utf8 = new TextDecoder('utf-8', { fatal: true })

const refuse = (detail: string) => problems.invalidRequest({ detail, errors: [{ pointer: '', detail }] })

/**
 * Parses a JSON body (RFC 8259): strict UTF-8, limited nesting and members, no member twice, no `__proto__` or
 * `constructor.prototype`, no number that loses digits. Throws a problem whose text never quotes a value.
 */
export function parseJson(bytes: Uint8Array): unknown {
  if (bytes.length === 0) return undefined
  let text: string
  try {
    text = utf8.decode(bytes)
  } catch {
    throw refuse('The body is not valid UTF-8')
  }
  const defect = jsonDefect(text, { depth: MAX_JSON_DEPTH, members: MAX_JSON_MEMBERS })
  if (defect) {
    const place = defect.pointer || 'The JSON'
    throw problems.invalidRequest({ detail: `${place} ${defect.detail}`, errors: [defect] })
  }
  try {
    return JSON.parse(text)
  } catch {
    throw refuse('The body is not valid JSON')
  }
}

/** PostgreSQL's text holds no NUL: a field of a form or query that has one is refused before anything looks for it. */
const nulProblem = (name: string) =>
  problems.invalidRequest({
    detail: 'A NUL character is not allowed',
    errors: [{ pointer: `/${name}`, detail: 'must not hold a NUL character' }],
  })

const heldNul = (fields: URLSearchParams): string | undefined =>
  [...fields].find((field) => field.join().includes('\0'))?.[0].replaceAll('\0', '')

/** What is wrong with a URL whose query holds a NUL, if it does. */
export function nulDefect(url: string): ProblemError | undefined {
  const query = url.indexOf('?')
  if (query < 0 || !url.includes('%00', query)) return undefined
  const name = heldNul(new URLSearchParams(url.slice(query + 1)))
  return name === undefined ? undefined : nulProblem(name)
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
  const form = new URLSearchParams(text)
  for (const [name, value] of form) {
    if (fields.has(name)) throw refuse('A form field is repeated')
    if (fields.size >= 32) throw refuse('The form has too many fields')
    fields.set(name, value)
  }
  const nul = heldNul(form)
  if (nul !== undefined) throw nulProblem(nul)
  return Object.fromEntries(fields)
}
