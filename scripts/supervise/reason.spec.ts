import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { reasonSince } from './reason.js'

const folder = mkdtempSync(join(tmpdir(), 'vigil-reason-'))
afterAll(() => rmSync(folder, { recursive: true }))

const crash = (message: string) => `file:///app/models.js:9
    throw new ModelError()
          ^

ModelError: ${message}
    at load (file:///app/models.js:9:11)

Node.js v24.1.0
`

const write = (text: string) => {
  const path = join(folder, 'fraud.log')
  writeFileSync(path, text)
  return path
}

test('says why a service ended, not where', () => {
  const path = write(`{"level":"info","msg":"starting"}\n${crash('The signature of the model is not valid')}`)
  expect(reasonSince(path, 0)).toBe('ModelError: The signature of the model is not valid')
})

test('says nothing of what ended an earlier run', () => {
  const earlier = crash('The port is taken')
  const path = write(`${earlier}{"level":"info","msg":"listening"}\n`)
  expect(reasonSince(path, earlier.length)).toBeUndefined()
  // A log that has turned over is shorter than where it began.
  expect(reasonSince(write(crash('The disk is full')), 1_000_000)).toBe('ModelError: The disk is full')
})

test('reads only the end of a long log', () => {
  const path = write(`${crash('long ago')}${'x'.repeat(100_000)}\n${crash('just now')}`)
  expect(reasonSince(path, 0)).toBe('ModelError: just now')
})
