import { execFileSync, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Content, fileOf, SYNTAX } from '../../../../test/support/dicom.js'
import { shared } from '../../../../test/support/shared.js'
import { deidentify } from './deidentify.js'
import { textOf } from './dicom/element.js'
import { parseInstance } from './dicom/parse.js'
import { EnvelopeError, open, readCertificate, seal } from './envelope.js'
import type { Order } from './order.js'
import { reidentify } from './originals.js'

const keys = { uid: Buffer.alloc(32, 1), patient: Buffer.alloc(32, 2), date: Buffer.alloc(32, 3) }
const hasGdcm = spawnSync('gdcmanon', ['--version']).error === undefined
if (!hasGdcm) console.warn('skipped: gdcmanon is not installed (apt-get install libgdcm-tools)')

const CONTENT: Content[] = [
  [0x00080016, 'UI', '1.2.840.10008.5.1.4.1.1.2'],
  [0x00080018, 'UI', '1.2.826.0.1.3680043.77.1'],
  [0x00080020, 'DA', '20240105'],
  [0x00080060, 'CS', 'CT'],
  [0x00091001, 'LO', 'private'],
  [0x00100010, 'PN', 'JANESDOTTIR^ANNA'],
  [0x00100020, 'LO', 'MRN7654321'],
  [0x00180015, 'CS', 'CHEST'],
  [0x00400275, 'SQ', [[[0x00401001, 'SH', 'MRN7654321']]]],
  [0x7fe00010, 'OW', Buffer.alloc(8, 7)],
]

describe('the originals travel with the instance, for whoever holds the key', () => {
  const folder = mkdtempSync(join(tmpdir(), 'vigil-escrow-'))
  const path = (name: string) => join(folder, name)
  let order: Order
  let privateKey: string
  beforeAll(() => {
    for (const name of ['ours', 'other'])
      execFileSync(
        'openssl',
        [
          'req',
          '-x509',
          '-newkey',
          'rsa:2048',
          '-nodes',
          '-days',
          '2',
          '-subj',
          `/CN=${name}`,
          '-keyout',
          path(`${name}.key`),
          '-out',
          path(`${name}.pem`),
        ],
        { stdio: 'ignore' },
      )
    privateKey = readFileSync(path('ours.key'), 'utf8')
    const certificate = readFileSync(path('ours.pem'), 'utf8')
    order = { options: [], keys, escrow: { certificate, random: randomBytes } }
  })
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  const cleanOf = (bytes: Buffer) => {
    const result = deidentify(bytes, order)
    if (result.kind !== 'clean') throw new Error(result.kind)
    return result.bytes
  }

  test.each(Object.entries(SYNTAX))(
    '%s: restored, the data set is what it was, byte for byte',
    (_name, syntax) => {
      const source = fileOf(CONTENT, syntax)
      const clean = cleanOf(source)
      expect(parseInstance(clean).dataset.includes(Buffer.from('JANESDOTTIR'))).toBe(false)
      const restored = parseInstance(reidentify(clean, privateKey))
      expect(restored.dataset.equals(parseInstance(source).dataset)).toBe(true)
      expect(restored.meta.get(0x00020003)?.toString()).toContain('1.2.826.0.1.3680043.77.1')
    },
  )

  test('nobody else opens them: not with another key, not when a byte was changed', () => {
    const clean = cleanOf(fileOf(CONTENT))
    expect(() => reidentify(clean, readFileSync(path('other.key'), 'utf8'))).toThrow(EnvelopeError)
    expect(() => reidentify(fileOf(CONTENT), privateKey)).toThrow(/carries no originals/)
    expect(() => readCertificate('no certificate')).toThrow()
  })

  test('openssl opens our envelope, and we open its', () => {
    writeFileSync(path('envelope.der'), seal(Buffer.from('the originals'), order.escrow!))
    const cms = (...args: string[]) => execFileSync('openssl', ['cms', ...args])
    const opened = cms(
      '-decrypt',
      '-binary',
      '-inform',
      'DER',
      '-in',
      path('envelope.der'),
      '-inkey',
      path('ours.key'),
    )
    expect(opened.toString()).toBe('the originals')
    writeFileSync(path('text'), 'from openssl')
    const theirs = cms(
      '-encrypt',
      '-binary',
      '-aes256',
      '-outform',
      'DER',
      '-in',
      path('text'),
      path('ours.pem'),
    )
    expect(open(theirs, privateKey).toString()).toBe('from openssl')
  })

  test.skipIf(!hasGdcm)('gdcmanon opens ours and restores name, ID and UID', () => {
    writeFileSync(path('clean.dcm'), cleanOf(fileOf(CONTENT)))
    execFileSync('gdcmanon', [
      '-d',
      '-k',
      path('ours.key'),
      '-c',
      path('ours.pem'),
      path('clean.dcm'),
      path('restored.dcm'),
    ])
    const restored = parseInstance(readFileSync(path('restored.dcm')))
    expect(textOf(restored, 0x00100010)).toBe('JANESDOTTIR^ANNA')
    expect(textOf(restored, 0x00100020)).toBe('MRN7654321')
    expect(textOf(restored, 0x00080018)).toBe('1.2.826.0.1.3680043.77.1')
  })

  const corpus = shared('data/dicom')
  test.skipIf(!corpus)('public files come back as they were', () => {
    let same = 0
    let tried = 0
    for (const name of readdirSync(corpus!).filter((file) => file.endsWith('.dcm'))) {
      const source = readFileSync(join(corpus!, name))
      if (source.length > 400_000) continue
      const result = deidentify(source, {
        ...order,
        policies: { uncheckedPixels: 'pass', documents: 'blank' },
      })
      // One that came without a UID keeps the one it was given.
      if (result.kind !== 'clean' || !textOf(parseInstance(source), 0x00080018)) continue
      tried++
      const restored = parseInstance(reidentify(result.bytes, privateKey)).dataset
      if (restored.equals(parseInstance(source).dataset)) same++
    }
    // The others have elements out of order or overlays too large to carry.
    expect(tried - same).toBeLessThan(tried * 0.05)
  })
})
