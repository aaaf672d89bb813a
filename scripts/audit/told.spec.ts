import { expect, test } from 'vitest'
import { cosignatureKey, noteSigner, type VerifiedExport, verificationKey } from '#libs/audit'
import { cosignedBy, toldExport } from './told.js'

const logKey = verificationKey(noteSigner('log.example/audit', Buffer.alloc(32, 1)))
const witnessKey = cosignatureKey(noteSigner('witness.example/w', Buffer.alloc(32, 2)))

const verified = (withheld: number, complete = true): VerifiedExport => ({
  header: {
    ...{ type: 'vigil-audit-export', version: 1, format: 'ndjson', origin: 'log.example/audit' },
    ...{ tenant: 'default', filters: { actor: 'x' }, exported_at: '2026-02-01T00:00:00Z' },
    ...{ checkpoint: '', keys: [logKey], complete, proofs: 'tiles' },
  },
  checkpoint: { origin: 'log.example/audit', size: 9, root: Buffer.alloc(32), cosignatures: [] },
  entries: 9 - withheld,
  withheld,
})

test('an export with bare hashes is never called complete', () => {
  const told = toldExport(verified(4), [logKey])
  expect(told).toContain(
    "5 entries shown, 4 known by their hash alone (other tenants', pruned or left out by whoever wrote the file)",
  )
  expect(told).not.toMatch(/complete|nothing/)
  expect(toldExport(verified(0), [logKey])).toContain('complete: nothing between them was left out')
  expect(toldExport(verified(0, false), [logKey])).toContain('a selection')
})

test('what the header says is told as its claim', () => {
  expect(toldExport(verified(0), [logKey])).toContain(
    'claimed by the file, not signed: {"tenant":"default","filters":{"actor":"x"},"exported_at":"2026-02-01T00:00:00Z"}',
  )
})

test('nobody is said to have kept silent who could not have been heard', () => {
  expect(cosignedBy([], [logKey])).toBe('no witness key was given')
  expect(cosignedBy([], [logKey, witnessKey])).toBe('cosigned by nobody')
  expect(cosignedBy([], [])).toBe('cosigned by nobody')
  expect(cosignedBy(['a', 'b'], [logKey])).toBe('cosigned by a, b')
})
