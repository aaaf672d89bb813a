import { escapeToken } from './validation.js'

/** What a JSON text may hold at most: levels of arrays and objects, members of all objects together. */
export interface JsonLimits {
  depth: number
  members: number
}

/** Why a text is refused though it may be JSON, and where (RFC 6901). The value that stands there is never quoted. */
export interface JsonDefect {
  pointer: string
  detail: string
}

/** An array or object that is open; `keys` of an object only. */
interface Level {
  keys: Set<string> | undefined
  /** Of an object: the member under way. */
  key: string
  awaitsKey: boolean
  /** Of an array: the element under way. */
  index: number
}

const QUOTE = 0x22
const BACKSLASH = 0x5c
const COMMA = 0x2c
const MINUS = 0x2d
/** An integer of fewer digits is exact in a double. */
const EXACT_DIGITS = 15

/** Index of the quote that ends the string which begins at `start`. */
function endOfString(text: string, start: number): number {
  for (let at = text.indexOf('"', start + 1); at !== -1; at = text.indexOf('"', at + 1)) {
    let escapes = at
    while (text.charCodeAt(escapes - 1) === BACKSLASH) escapes--
    if ((at - escapes) % 2 === 0) return at
  }
  return text.length
}

function endOfNumber(text: string, start: number): number {
  let at = start + 1
  for (; at < text.length; at++) {
    const code = text.charCodeAt(at)
    const part = (code >= 0x30 && code <= 0x39) || code === 0x2e || (code | 0x20) === 0x65
    if (!part && code !== MINUS && code !== 0x2b) break
  }
  return at
}

/** RFC 7493 2.2: an integer past 2^53 or a number past 1.8e308 does not arrive as it was sent. */
function isLossy(literal: string): boolean {
  const isFraction = /[.eE]/.test(literal)
  if (!isFraction && literal.length <= EXACT_DIGITS) return false
  return isFraction ? !Number.isFinite(Number(literal)) : !Number.isSafeInteger(Number(literal))
}

/** The member name between two quotes, which escapes may spell in several ways. */
function nameOf(raw: string): string {
  if (!raw.includes('\\')) return raw
  try {
    return JSON.parse(`"${raw}"`) as string
  } catch {
    return raw
  }
}

const pointerTo = (levels: readonly Level[]) =>
  levels.map(({ keys, key, index }) => `/${keys ? escapeToken(key) : index}`).join('')

function memberDefect(levels: readonly Level[], name: string): string | undefined {
  const level = levels.at(-1)
  if (level?.keys?.has(name)) return 'comes twice in one object'
  const pollutes = name === '__proto__' || (name === 'prototype' && levels.at(-2)?.key === 'constructor')
  return pollutes ? 'is a member name that is not allowed' : undefined
}

/**
 * The first defect of a text that JSON.parse would let pass: too deep, too many members, a member twice (RFC 8259 4:
 * readers differ on which counts), a name that pollutes prototypes, a number that a double cannot hold. One pass, no
 * recursion, nothing built. What is no JSON at all is left for the parser to say.
 */
export function jsonDefect(text: string, limits: JsonLimits): JsonDefect | undefined {
  const levels: Level[] = []
  let members = 0
  const defect = (detail: string) => ({ pointer: pointerTo(levels), detail })
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    const level = levels.at(-1)
    if (code === QUOTE) {
      const end = endOfString(text, at)
      if (level?.awaitsKey) {
        const name = nameOf(text.slice(at + 1, end))
        const wrong = memberDefect(levels, name)
        level.key = name
        level.awaitsKey = false
        if (wrong) return defect(wrong)
        level.keys?.add(name)
        if (++members > limits.members)
          return { pointer: '', detail: `has more than ${limits.members} members` }
      }
      at = end
    } else if (code === 0x7b || code === 0x5b) {
      if (levels.length === limits.depth)
        return { pointer: '', detail: `is nested deeper than ${limits.depth} levels` }
      const isObject = code === 0x7b
      levels.push({ keys: isObject ? new Set() : undefined, key: '', awaitsKey: isObject, index: 0 })
    } else if (code === 0x7d || code === 0x5d) levels.pop()
    else if (code === COMMA && level) {
      level.awaitsKey = level.keys !== undefined
      level.index++
    } else if (code === MINUS || (code >= 0x30 && code <= 0x39)) {
      const end = endOfNumber(text, at)
      if (isLossy(text.slice(at, end)))
        return defect('is a number that would lose digits: send it as a string')
      at = end - 1
    }
  }
  return undefined
}
