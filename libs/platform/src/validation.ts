import type { StandardSchemaV1 } from '@standard-schema/spec'
import { holdsCardNumber } from './card-number.js'
import { type FieldError, type ProblemError, problems } from './problem.js'

const MAX_REPORTED = 50

/** A member name as a part of a JSON pointer (RFC 6901 3), cut to 64 characters. */
export const escapeToken = (key: string): string =>
  holdsCardNumber(key) ? '[card number]' : key.slice(0, 64).replaceAll('~', '~0').replaceAll('/', '~1')

const pointerOf = (path: StandardSchemaV1.Issue['path'] = []): string =>
  path
    .map((segment) => `/${escapeToken(String(typeof segment === 'object' ? segment.key : segment))}`)
    .join('')

function toFieldErrors(issue: StandardSchemaV1.Issue): FieldError[] {
  const pointer = pointerOf(issue.path)
  const unknown = (issue as { code?: string; keys?: string[] }).keys
  // zod reports unknown members at their parent: name each of them where it stands.
  return unknown
    ? unknown.map((key) => ({ pointer: `${pointer}/${escapeToken(key)}`, detail: 'Unknown field' }))
    : [{ pointer, detail: issue.message }]
}

/** The 400 problem for issues of any Standard Schema validation, naming each wrong field by JSON pointer. */
export function invalidRequest(issues: readonly StandardSchemaV1.Issue[]): ProblemError {
  const errors = issues.flatMap(toFieldErrors).slice(0, MAX_REPORTED)
  const fields = [...new Set(errors.map((error) => error.pointer || 'the body'))].slice(0, 5).join(', ')
  return problems.invalidRequest({ detail: `Not valid: ${fields}`, errors })
}
