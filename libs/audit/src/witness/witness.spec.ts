import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { shared } from '../../../../test/support/shared.js'
import { checkpointText, parseCheckpoint } from '../merkle/checkpoint.js'
import { EMPTY_ROOT, leafHash, nodeHash } from '../merkle/hash.js'
import { noteSigner, parseNote, parseVerificationKey, signNote, verificationKey } from '../merkle/note.js'
import { consistencyProof, type NodeReader, rootOf } from '../merkle/tree.js'
import { parseWitnesses } from './client.js'
import { judge } from './judge.js'
import { type AddCheckpoint, addCheckpointText, parseAddCheckpoint } from './request.js'

const log = noteSigner('log.example', Buffer.alloc(32, 1))
const keys = [parseVerificationKey(verificationKey(log))]
function tree(size: number, what = 'entry'): NodeReader {
  const leaves = Array.from({ length: size }, (_, at) => leafHash(Buffer.from(`${what} ${at}`)))
  const read = (level: number, index: number): Buffer =>
    level === 0 ? leaves[index]! : nodeHash(read(level - 1, index * 2), read(level - 1, index * 2 + 1))
  return async (level, index) => read(level, index)
}
const signed = (size: number, root: Buffer, signer = log): string =>
  signNote(signer, checkpointText({ origin: signer.name, size, root }))

/** What is submitted when a witness knows `old` leaves and the log has `size`. */
async function request(old: number, size: number, what = 'entry'): Promise<AddCheckpoint> {
  const read = tree(size, what)
  const proof = old === 0 || old === size ? [] : await consistencyProof(read, old, size)
  return { oldSize: old, proof, note: signed(size, await rootOf(read, size)) }
}
const knowing = async (size: number) => {
  const latest = size === 0 ? undefined : { size, root: await rootOf(tree(size), size) }
  return { keys, latest: () => latest }
}

test('whatever grows from what is known is cosigned; from anything else, never', async () => {
  const sizes = fc.integer({ min: 0, max: 40 })
  await fc.assert(
    fc.asyncProperty(sizes, sizes, sizes, async (known, old, size) => {
      const submitted = await request(Math.min(old, size), size)
      const { status } = judge(addCheckpointText(submitted), await knowing(known))
      expect(status).toBe(submitted.oldSize === known ? 200 : 409)
    }),
    { numRuns: 60 },
  )
})

describe('refused, each with the status of the specification', () => {
  const other = noteSigner('log.example', Buffer.alloc(32, 7))
  const stranger = noteSigner('other.example', Buffer.alloc(32, 1))
  const body = async (old: number, size: number) => addCheckpointText(await request(old, size))

  test.each<[string, number, () => Promise<string>]>([
    [
      'an unknown origin',
      404,
      async () => addCheckpointText({ oldSize: 0, proof: [], note: signed(3, EMPTY_ROOT, stranger) }),
    ],
    [
      'another key under the name of the log',
      403,
      async () => addCheckpointText({ oldSize: 0, proof: [], note: signed(3, EMPTY_ROOT, other) }),
    ],
    ['an old size beyond the checkpoint', 400, async () => (await body(5, 9)).replace('old 5', 'old 10')],
    ['no old size', 400, async () => (await body(5, 9)).replace('old 5\n', '')],
    ['an old size with a leading zero', 400, async () => (await body(5, 9)).replace('old 5', 'old 05')],
    ['a hash that is none', 400, async () => (await body(5, 9)).replace('old 5\n', 'old 5\nAAAA\n')],
    [
      'more hashes than any proof has',
      400,
      async () =>
        (await body(5, 9)).replace('old 5\n', `old 5\n${`${EMPTY_ROOT.toString('base64')}\n`.repeat(64)}`),
    ],
    ['no checkpoint', 400, async () => 'old 5\n\n'],
    ['nothing', 400, async () => ''],
    [
      'a proof with a hash too many',
      422,
      async () => (await body(5, 9)).replace('old 5\n', `old 5\n${EMPTY_ROOT.toString('base64')}\n`),
    ],
    ['a proof without one', 422, async () => (await body(5, 9)).replace(/\n[^\n]+\n/, '\n')],
    ['another history', 422, async () => addCheckpointText(await request(5, 9, 'forged'))],
    ['the same size with another root', 409, async () => addCheckpointText(await request(5, 5, 'forged'))],
    [
      'the same size with a proof',
      422,
      async () => (await body(5, 5)).replace('old 5\n', `old 5\n${EMPTY_ROOT.toString('base64')}\n`),
    ],
    ['a smaller tree', 409, async () => addCheckpointText(await request(3, 4))],
  ])('%s: %i', async (_case, status, submitted) => {
    expect(judge(await submitted(), await knowing(5)).status).toBe(status)
  })

  test('409 says the size that is known', async () => {
    expect(judge(await body(0, 9), await knowing(5))).toEqual({ status: 409, size: 5 })
    expect(judge(await body(2, 9), await knowing(0))).toEqual({ status: 409, size: 0 })
  })
})

test('a request reads back as it was written', async () => {
  const submitted = await request(5, 30)
  expect(parseAddCheckpoint(addCheckpointText(submitted))).toEqual(submitted)
})

test('witnesses are configured as pairs of URL and key', () => {
  const vkey = verificationKey(log)
  expect(parseWitnesses(`http://a.example/ ${vkey},\n https://b.example/w ${vkey}\n`)).toMatchObject([
    { url: 'http://a.example', vkey },
    { url: 'https://b.example/w', vkey },
  ])
  for (const wrong of [
    'http://a.example',
    vkey,
    `x ${vkey}`,
    `http://a ${vkey} more`,
    `http://a ${vkey.slice(1)}`,
  ])
    expect(() => parseWitnesses(wrong), wrong).toThrow()
})

const golden = shared('vectors/golden.json')
test.skipIf(!golden)('the checkpoint pair of transparency-dev/witness', () => {
  const {
    vkey,
    init,
    next,
    consistency_5_8: hashes,
  } = JSON.parse(readFileSync(golden!, 'utf8')).checkpoint_pair
  const monkeys = [parseVerificationKey(vkey)]
  const first = judge(addCheckpointText({ oldSize: 0, proof: [], note: init }), {
    keys: monkeys,
    latest: () => undefined,
  })
  expect(first).toMatchObject({ status: 200, checkpoint: { origin: 'monkeys', size: 5 } })
  const latest = () => parseCheckpoint(parseNote(init).text)
  const proof = hashes.map((hash: string) => Buffer.from(hash, 'hex'))
  const submit = (hashesOf: Buffer[]) =>
    judge(addCheckpointText({ oldSize: 5, proof: hashesOf, note: next }), { keys: monkeys, latest })
  expect(submit(proof)).toMatchObject({ status: 200, checkpoint: { size: 8 } })
  expect(submit(proof.slice(1)).status).toBe(422)
  expect(judge(addCheckpointText({ oldSize: 0, proof: [], note: next }), { keys: monkeys, latest })).toEqual({
    status: 409,
    size: 5,
  })
})
