import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { VerificationFailure } from '../failure.js'
import { checkpointText } from '../merkle/checkpoint.js'
import { leafHash, nodeHash } from '../merkle/hash.js'
import { cosign, cosignatureKey, noteSigner, signNote, verificationKey } from '../merkle/note.js'
import { rangeProof } from '../merkle/range.js'
import { consistencyProof, inclusionProof, type NodeReader, rootOf } from '../merkle/tree.js'
import { readableEntry } from './readable.js'
import type { ExportHeader } from './schema.js'
import { ExportVerifier } from './verify.js'
import { ExportWriter } from './write.js'

const log = noteSigner('log.example/audit', Buffer.alloc(32, 1))
const witness = noteSigner('witness.example/w', Buffer.alloc(32, 2))
const keys = [verificationKey(log), cosignatureKey(witness)]

const bodyOf = (at: number, what = 'READ') =>
  Buffer.from(
    `{"entry":{"action":"${what}","id":"é-${at}","tenant":"default"},"recorded_at":"2026-01-01T00:00:00.${String(at).padStart(6, '0')}Z"}`,
  )
const nodesOf = (leaves: Buffer[]): NodeReader => {
  const read = (level: number, index: number): Buffer =>
    level === 0 ? leaves[index]! : nodeHash(read(level - 1, index * 2), read(level - 1, index * 2 + 1))
  return async (level, index) => read(level, index)
}

interface World {
  bodies: Buffer[]
  read: NodeReader
  checkpoint(size?: number): Promise<string>
}
function world(size: number, what = (_at: number) => 'READ'): World {
  const bodies = Array.from({ length: size }, (_, at) => bodyOf(at, what(at)))
  const read = nodesOf(bodies.map(leafHash))
  return {
    bodies,
    read,
    checkpoint: async (to = size) => {
      const text = checkpointText({ origin: log.name, size: to, root: await rootOf(read, to) })
      return signNote(log, text) + cosign(witness, text, 1_790_000_000n)
    },
  }
}

const headerOf = (
  checkpoint: string,
  more: Partial<ExportHeader> = {},
): Omit<ExportHeader, 'type' | 'version'> => ({
  format: 'ndjson',
  origin: log.name,
  tenant: 'default',
  filters: {},
  exported_at: '2026-02-01T00:00:00Z',
  checkpoint,
  keys,
  complete: false,
  proofs: 'entries',
  ...more,
})

/** Some entries, each with its own proof. */
async function picked(
  { bodies, read, checkpoint }: World,
  indices: number[],
  more: Partial<ExportHeader> = {},
) {
  const writer = new ExportWriter()
  const lines = [writer.header(headerOf(await checkpoint(), more))]
  for (const index of indices) {
    const proof = await inclusionProof(read, index, bodies.length)
    lines.push(writer.entry({ index, body: bodies[index]!, proof }))
  }
  return [...lines, writer.end()]
}

/** Entries [from, to) in one run; those of `hidden` as hashes alone. */
async function run({ bodies, read, checkpoint }: World, from: number, to: number, hidden: number[] = []) {
  const { left, right } = await rangeProof(read, { from, to, size: bodies.length })
  const text = (hashes: Buffer[]) => hashes.map((hash) => hash.toString('base64'))
  const writer = new ExportWriter()
  const range = { from, to, left: text(left), right: text(right) }
  const lines = [writer.header(headerOf(await checkpoint(), { complete: true, proofs: 'tiles', range }))]
  for (let index = from; index < to; index++) {
    const body = bodies[index]!
    lines.push(
      writer.entry(
        hidden.includes(index) ? { index, leaf: leafHash(body) } : { index, body, leaf: leafHash(body) },
      ),
    )
  }
  return [...lines, writer.end()]
}

/** The same lines with an end that fits them: what somebody writes who knows the format. */
function reclosed(lines: string[]): string[] {
  const writer = new ExportWriter()
  const inner = writer as unknown as { line(text: string): string; entries: number }
  const kept = lines.slice(0, -1).map((line) => inner.line(line.trimEnd()))
  inner.entries = kept.length - 1
  return [...kept, writer.end()]
}

function verify(
  lines: string[],
  options: ConstructorParameters<typeof ExportVerifier>[0] = { keys },
  chunk = 7,
) {
  const verifier = new ExportVerifier(options)
  const bytes = Buffer.from(lines.join(''))
  for (let at = 0; at < bytes.length; at += chunk) verifier.write(bytes.subarray(at, at + chunk))
  return verifier.end()
}

function failure(lines: string[], options?: ConstructorParameters<typeof ExportVerifier>[0]) {
  try {
    verify(lines, options, 4096)
  } catch (error) {
    if (error instanceof VerificationFailure) return error
    throw error
  }
  throw new Error('it verified')
}

const edit = (lines: string[], at: number, change: (line: string) => string) =>
  lines.map((line, n) => (n === at ? change(line) : line))
const swapped = (lines: string[], a: number, b: number) =>
  lines.map((line, n) => (n === a ? lines[b]! : n === b ? lines[a]! : line))
const without = (lines: string[], at: number) => lines.filter((_, n) => n !== at)
const twice = (lines: string[], at: number) => lines.flatMap((line, n) => (n === at ? [line, line] : [line]))
const withBody = (line: string, body: Buffer) =>
  line
    .replace(/"body":"[^"]*"/, `"body":"${body.toString('base64')}"`)
    .replace(/"entry":\{[^}]*\}/, `"entry":${readableEntry(body)}`)

test('any selection and any run of any tree verifies, whatever the chunks', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 40 }),
      fc.nat(),
      fc.nat(),
      fc.integer({ min: 1, max: 5000 }),
      async (size, a, b, chunk) => {
        const [from, to] = [
          Math.min(a % (size + 1), b % (size + 1)),
          Math.max(a % (size + 1), b % (size + 1)),
        ]
        const here = world(size)
        const result = verify(await run(here, from, to, [from + 1]), { keys }, chunk)
        expect(result.entries + result.withheld).toBe(to - from)
        expect(result.checkpoint.cosignatures).toEqual([
          { witness: witness.name, at: new Date(1_790_000_000_000) },
        ])
        const some = here.bodies.map((_, at) => at).filter((at) => (at * 7 + a) % 3 === 0)
        expect(verify(await picked(here, some), { keys }, chunk).entries).toBe(some.length)
      },
    ),
    { numRuns: 25 },
  )
})

describe('what is wrong is named, also where the end was made to fit', () => {
  const here = world(20)
  const forged = bodyOf(5, 'NOTHING')

  test.each([
    [
      'an edited entry',
      (lines: string[]) => edit(lines, 6, (line) => withBody(line, forged)),
      /entry 5 is not what was recorded/,
      5,
    ],
    ['a swapped pair', (lines: string[]) => swapped(lines, 4, 9), /entry 3 is missing: 8 stands/, 3],
    [
      'a missing entry',
      (lines: string[]) => without(lines, 8),
      /entry 7 is missing: 8 stands in its place/,
      7,
    ],
    ['a doubled entry', (lines: string[]) => twice(lines, 8), /entry 7 stands twice/, 7],
    [
      'an inserted entry',
      (lines: string[]) => [...lines.slice(0, 8), withBody(lines[7]!, forged), ...lines.slice(8)],
      /entry 6 stands twice/,
      6,
    ],
    ['a first entry left out', (lines: string[]) => without(lines, 1), /entry 0 is missing/, 0],
    ['a last entry left out', (lines: string[]) => without(lines, 20), /entry 19 is missing/, 19],
  ])('%s of a run', async (_case, change, message, index) => {
    const lines = await run(here, 0, 20)
    for (const changedLines of [change(lines), reclosed(change(lines))]) {
      const wrong = failure(changedLines)
      expect(wrong).toMatchObject({ kind: 'changed', index })
      expect(wrong.message).toMatch(message)
    }
  })

  test('an entry changed together with its hash breaks the root', async () => {
    const lines = edit(await run(here, 3, 20), 6, (line) =>
      withBody(line, forged).replace(/"leaf":"[^"]*"/, `"leaf":"${leafHash(forged).toString('base64')}"`),
    )
    expect(failure(reclosed(lines)).message).toMatch(/do not make up the signed root/)
  })

  test.each([
    [
      'an edited entry',
      (lines: string[]) => edit(lines, 2, (line) => withBody(line, forged)),
      /entry 5 is not what/,
      5,
    ],
    [
      'another index',
      (lines: string[]) => edit(lines, 2, (line) => line.replace('"log_index":5', '"log_index":6')),
      /entry 6 is not what/,
      6,
    ],
    ['a swapped pair', (lines: string[]) => swapped(lines, 2, 3), /entry 5 stands after entry 9/, 5],
    ['a doubled entry', (lines: string[]) => twice(lines, 2), /entry 5 stands twice/, 5],
    [
      'an entry beyond the tree',
      (lines: string[]) => edit(lines, 3, (line) => line.replace('"log_index":9', '"log_index":99')),
      /entry 99 is beyond/,
      99,
    ],
    [
      'no proof',
      (lines: string[]) => edit(lines, 2, (line) => line.replace(/,"proof":\[[^\]]*\]/, '')),
      /entry 5 has no proof/,
      5,
    ],
    [
      'other words for the reader',
      (lines: string[]) =>
        edit(lines, 2, (line) => line.replace('"entry":{"action":"READ"', '"entry":{"action":"NONE"')),
      /entry 5 says something else to the reader/,
      5,
    ],
    [
      'a member that nothing proves',
      (lines: string[]) => edit(lines, 2, (line) => line.replace('{', '{"note":"x",')),
      /line after entry 2 is no line/,
      undefined,
    ],
    ['a cut file', (lines: string[]) => lines.slice(0, -1), /cut after entry 9/, undefined],
    ['a line after the end', (lines: string[]) => [...lines, lines[1]!], /added after the end/, undefined],
    [
      'an entry left out',
      (lines: string[]) => without(lines, 2),
      /written with 3 entries and has 2/,
      undefined,
    ],
  ])('%s of a selection', async (_case, change, message, index) => {
    const wrong = failure(change(await picked(here, [2, 5, 9])))
    expect(wrong.kind).toBe('changed')
    expect(wrong.message).toMatch(message)
    expect(wrong.index).toBe(index)
  })

  test.each([
    ['a run', () => run(here, 0, 20), 0],
    ['a selection', () => picked(here, [5, 9]), 5],
  ])('%s of entries of another tenant than the header says', async (_case, make, index) => {
    const lines = edit(await make(), 0, (line) => line.replace('"tenant":"default"', '"tenant":"clinic"'))
    const wrong = failure(reclosed(lines))
    expect(wrong).toMatchObject({ kind: 'changed', index })
    expect(wrong.message).toBe(`entry ${index} is of the tenant "default", but the header says "clinic"`)
  })

  test('a selection that calls itself complete must be', async () => {
    expect(verify(await picked(here, [5, 6, 7], { complete: true })).entries).toBe(3)
    expect(failure(await picked(here, [5, 7], { complete: true })).message).toMatch(/entry 6 is missing/)
  })
})

describe('keys and history', () => {
  const here = world(20)
  const other = world(20, (at) => (at === 4 ? 'FORGED' : 'READ'))

  test('a forger who re-signs everything fails against the key, the witness, or a held checkpoint', async () => {
    const stranger = noteSigner(log.name, Buffer.alloc(32, 9))
    expect(failure(await run(here, 0, 20), { keys: [verificationKey(stranger)] })).toMatchObject({
      kind: 'signature',
    })
    const unwitnessed = (await run(other, 0, 20)).map((line) => line.replace(/\\n\u2014 witness[^\\]*/, ''))
    expect(failure(reclosed(unwitnessed)).message).toMatch(
      /no valid cosignature by the witness witness.example/,
    )
    expect(verify(reclosed(unwitnessed), { keys: [verificationKey(log)] }).entries).toBe(20)
    const held = { keys: [verificationKey(log)], earlier: await here.checkpoint(7) }
    expect(failure(reclosed(unwitnessed), held)).toMatchObject({ kind: 'history' })
    expect(failure(reclosed(unwitnessed), held).message).toMatch(/first 7 entries .* history was rewritten/)
  })

  test('an earlier checkpoint is compared within the run, by a proof, or said not to be comparable', async () => {
    for (const size of [3, 9, 15]) {
      const earlier = await here.checkpoint(size)
      expect(verify(await run(here, 3, 15), { keys, earlier }).entries).toBe(12)
      expect(failure(await run(other, 3, 15), { keys, earlier: await here.checkpoint(9) }).kind).toBe(
        'history',
      )
    }
    const earlier = await here.checkpoint(11)
    expect(failure(await picked(here, [2]), { keys, earlier }).message).toMatch(/no proof from the earlier/)
    const proof = (await consistencyProof(here.read, 11, 20)).map((hash) => hash.toString('base64'))
    const consistency = { from: 11, proof }
    expect(verify(await picked(here, [2], { consistency }), { keys, earlier }).entries).toBe(1)
    expect(failure(await picked(other, [2], { consistency }), { keys, earlier }).message).toMatch(/rewritten/)
    expect(failure(await picked(world(10), [2]), { keys, earlier }).message).toMatch(/log of 10 entries/)
  })

  test('what is no export says so', async () => {
    for (const text of ['', '\n', 'hello\n', '{"type":"end"}\n', '{}\n', 'x'.repeat(2_000_000)])
      expect(failure([text]).kind, text.slice(0, 20)).toBe('unreadable')
    expect(failure(await run(here, 0, 3), { keys: ['nonsense'] }).kind).toBe('unreadable')
  })
})
