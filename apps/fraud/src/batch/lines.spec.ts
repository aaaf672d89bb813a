import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Line, linesOf } from './lines.js'

async function* streamOf(bytes: Uint8Array, cuts: readonly number[]) {
  let from = 0
  for (const size of cuts) {
    if (from >= bytes.length) return
    yield bytes.subarray(from, from + size)
    from += size
  }
  yield bytes.subarray(from)
}

async function collect(text: string, limit: number, cuts: readonly number[] = []): Promise<Line[]> {
  const lines: Line[] = []
  for await (const line of linesOf(streamOf(Buffer.from(text), cuts), limit)) lines.push(line)
  return lines
}

const plain = (lines: Line[]) =>
  lines.map(({ number, bytes }) => [number, bytes && Buffer.from(bytes).toString()])

test('blank lines are counted and left out; the last line needs no end', async () => {
  expect(plain(await collect('a\n\n \t\r\nb\r\nc', 10))).toEqual([
    [1, 'a'],
    [4, 'b\r'],
    [5, 'c'],
  ])
  expect(await collect('', 10)).toEqual([])
  expect(plain(await collect('a\n', 10))).toEqual([[1, 'a']])
})

test('however the stream is cut, the lines are those of the text, and none is longer than allowed', async () => {
  const line = fc.string({ unit: fc.constantFrom('x', 'é', ' ', '\r'), maxLength: 12 })
  await fc.assert(
    fc.asyncProperty(
      fc.array(line, { maxLength: 12 }),
      fc.array(fc.integer({ min: 1, max: 9 }), { maxLength: 40 }),
      fc.integer({ min: 1, max: 14 }),
      async (texts, cuts, limit) => {
        const expected = texts.flatMap((text, at): (number | string | undefined)[][] => {
          const bytes = Buffer.from(text)
          if (bytes.length > limit) return [[at + 1, undefined]]
          return text.trim() === '' ? [] : [[at + 1, text]]
        })
        expect(plain(await collect(texts.join('\n'), limit, cuts))).toEqual(expected)
      },
    ),
  )
})
