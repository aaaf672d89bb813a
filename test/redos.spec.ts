import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import ts from 'typescript'
import { describe, expect, test } from 'vitest'

interface Found {
  pattern: RegExp
  place: string
}

/** Every regular expression literal of the product: what outsiders send may meet any of them. */
function patterns(): Found[] {
  const files = execFileSync('git', ['ls-files', 'apps/*.ts', 'libs/*.ts'], { encoding: 'utf8' })
  return files
    .split('\n')
    .filter((path) => path && !/\.(e2e-)?spec\.ts$/.test(path))
    .flatMap((path) => literalsOf(path))
}

function literalsOf(path: string): Found[] {
  const source = ts.createSourceFile(path, readFileSync(path, 'utf8'), ts.ScriptTarget.Latest, true)
  const found: Found[] = []
  const visit = (node: ts.Node): void => {
    if (ts.isRegularExpressionLiteral(node)) {
      const [, body = '', flags = ''] = /^\/(.*)\/([a-z]*)$/s.exec(node.text) ?? []
      const { line } = source.getLineAndCharacterOfPosition(node.pos)
      found.push({ pattern: new RegExp(body, flags), place: `${path}:${line + 1}` })
    }
    ts.forEachChild(node, visit)
  }
  visit(source)
  return found
}

const all = patterns()
/** Repetition of what the pattern itself likes, then something that it does not: what backtracking feeds on. */
const hostile = (pattern: RegExp): string[] => {
  const liked = ['a', '0', ' ', '/', '.', '-', 'A', '"', '\\', 'x/', '1.', 'a=', '::', '00:', '^', ';', ',']
  const own = [...new Set(pattern.source.replace(/\\[a-zA-Z]/g, '').match(/[a-zA-Z0-9 /.:;,="-]/g) ?? [])]
  return [...new Set([...liked, ...own.slice(0, 8)])].flatMap((unit) => {
    const run = unit.repeat(Math.ceil(50_000 / unit.length)).slice(0, 50_000)
    return [`${run}\u0001`, `${pattern.source.replace(/^\^/, '').replace(/[\\[(?].*$/s, '')}${run}\u0001`]
  })
}

/** Quadratic backtracking takes seconds for 50 KB, linear a millisecond; a pause of the machine does not come twice. */
const STALL_MS = 500
function stalls(pattern: RegExp, text: string): boolean {
  const isSlow = () => {
    const begin = performance.now()
    text.replace(pattern, '')
    return performance.now() - begin > STALL_MS
  }
  return isSlow() && isSlow()
}

describe('regular expressions', () => {
  test('are all found', () => expect(all.length).toBeGreaterThan(40))

  test('take 50 KB of what was made to hurt them without a pause', () => {
    expect(all.filter(({ pattern }) => hostile(pattern).some((text) => stalls(pattern, text)))).toEqual([])
  })
})
