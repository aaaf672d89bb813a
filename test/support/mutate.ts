import fc from 'fast-check'

/** One change of a file's bytes: a value, a bit, a length, a piece out, in or twice; the ways in which files break and attackers try. */
const change = fc.oneof(
  fc.record({ kind: fc.constant('byte' as const), at: fc.nat(), value: fc.nat(255) }),
  fc.record({ kind: fc.constant('bit' as const), at: fc.nat(), value: fc.nat(7) }),
  fc.record({
    kind: fc.constant('word' as const),
    at: fc.nat(),
    value: fc.constantFrom(
      0,
      1,
      2,
      0xffff,
      0x7fffffff,
      0xfffffffe,
      0xffffffff,
      0xe000fffe,
      0xe00dfffe,
      0xe0ddfffe,
    ),
  }),
  fc.record({ kind: fc.constant('cut' as const), at: fc.nat(), value: fc.nat(64) }),
  fc.record({ kind: fc.constant('twice' as const), at: fc.nat(), value: fc.nat(512) }),
  fc.record({ kind: fc.constant('end' as const), at: fc.nat(), value: fc.nat(255) }),
)
export type Change = typeof change extends fc.Arbitrary<infer T> ? T : never
export const changes = fc.array(change, { minLength: 1, maxLength: 12 })

/** Most changes fall into the header, where the structure is. */
const place = (at: number, length: number) => at % Math.max(1, at % 4 === 0 ? length : Math.min(length, 4096))

function applied(bytes: Buffer, { kind, at, value }: Change): Buffer {
  const where = place(at, bytes.length)
  if (kind === 'end') return bytes.subarray(0, where)
  if (kind === 'cut') return Buffer.concat([bytes.subarray(0, where), bytes.subarray(where + value)])
  if (kind === 'twice') return Buffer.concat([bytes.subarray(0, where + value), bytes.subarray(where)])
  const changed = Buffer.from(bytes)
  if (changed.length < 8) return changed
  if (kind === 'byte') changed[where] = value
  else if (kind === 'bit') changed[where] = changed[where]! ^ (1 << value)
  else changed.writeUInt32LE(value, Math.min(where, changed.length - 4))
  return changed
}

/** A file with these changes, one after the other. */
export const mutated = (bytes: Buffer, list: readonly Change[]): Buffer => list.reduce(applied, bytes)
