import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'

test.each(['docs/threat-model.md', 'docs/hipaa.md'])('%s names tests and pages that there are', (page) => {
  const text = readFileSync(page, 'utf8')
  const tests = [...text.matchAll(/`([\w./-]+[.-]spec\.ts)`/g)].map(([, path]) => path!)
  const links = [...text.matchAll(/\]\(([\w./-]+\.md)/g)].map(([, path]) => join(dirname(page), path!))
  expect(tests.length).toBeGreaterThan(15)
  expect([...tests, ...links].filter((path) => !existsSync(path))).toEqual([])
  const rows = text
    .split('\n')
    .filter((line) => line.startsWith('| ') && !/^\| (?:\||threat|safeguard|rule)/.test(line))
  expect(rows.filter((row) => !/[.-]spec\.ts`/.test(row) && !/^\|[-| ]+$/.test(row))).toEqual([])
})
