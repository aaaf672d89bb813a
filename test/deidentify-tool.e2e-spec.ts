import { execFileSync, spawnSync } from 'node:child_process'
import {
  closeSync,
  existsSync,
  ftruncateSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { textOf } from '../apps/imaging/src/deidentify/dicom/element.js'
import { parseInstance } from '../apps/imaging/src/deidentify/dicom/parse.js'
import { simulateInstance } from '../scripts/simulate/dicom/study.js'
import { type Content, datasetOf, fileOf } from './support/dicom.js'

const TOOL = resolve(import.meta.dirname, '../dist/scripts/deidentify.js')

describe('the de-identification tool on its own', () => {
  const root = mkdtempSync(join(tmpdir(), 'vigil-tool-'))
  const at = (...path: string[]) => join(root, ...path)
  const run = (...args: string[]) =>
    spawnSync(process.execPath, [TOOL, ...args], { cwd: root, encoding: 'utf8' })

  beforeAll(() => {
    mkdirSync(at('in', 'deep'), { recursive: true })
    writeFileSync(at('in', 'ct.dcm'), simulateInstance({ seed: 1, kind: 'CT' }).bytes)
    writeFileSync(at('in', 'deep', 'mr.dcm'), simulateInstance({ seed: 2, kind: 'MR' }).bytes)
    writeFileSync(
      at('profile.json'),
      JSON.stringify({
        options: ['retain-longitudinal-modified-dates'],
        project_key: 'project.key',
        file_names: 'uid',
      }),
    )
  })
  afterAll(() => rmSync(root, { recursive: true, force: true }))

  test('a folder is done with its report; the same key gives the same again, on any number of threads', () => {
    const first = run('in', 'out', '--key', 'project.key', '--create-key', '--threads', '1')
    expect([first.status, first.stderr.split('\n')[0]]).toEqual([
      0,
      expect.stringContaining('made a new project key'),
    ])
    expect(first.stdout).toContain('2 clean, 0 quarantined')
    const { files } = JSON.parse(readFileSync(at('out', 'report.json'), 'utf8'))
    expect(files['deep/mr.dcm']).toMatchObject({
      outcome: 'clean',
      output: 'deep/mr.dcm',
      burned_in: 'unchecked',
    })
    expect(files['ct.dcm'].actions).toContainEqual({ path: '00100010', action: 'empty' })
    expect(statSync(at('project.key')).mode & 0o077).toBe(0)
    expect(run('in', 'again', '--key', 'project.key', '--threads', '2').status).toBe(0)
    for (const name of ['ct.dcm', 'deep/mr.dcm'])
      expect(readFileSync(at('again', name)).equals(readFileSync(at('out', name)))).toBe(true)
  })

  test('a profile names files by their new UID and keeps the report apart', () => {
    expect(run('in', 'named', '--profile', 'profile.json').status).toBe(0)
    const names = readdirSync(at('named'))
    expect(names).toHaveLength(2)
    for (const name of names) {
      const instance = parseInstance(readFileSync(at('named', name)))
      expect(name).toBe(`${textOf(instance, 0x00080018)}.dcm`)
      expect(textOf(instance, 0x00280303)).toBe('MODIFIED')
    }
    expect(existsSync(at('named-report.json'))).toBe(true)
  })

  test('what is held back is not written, is named with its reason, and is told by the exit code', () => {
    mkdirSync(at('mixed'))
    writeFileSync(at('mixed', 'us.dcm'), simulateInstance({ seed: 3, kind: 'US', burnedIn: true }).bytes)
    writeFileSync(at('mixed', 'cut.dcm'), simulateInstance({ seed: 4, kind: 'CT' }).bytes.subarray(0, 5_000))
    writeFileSync(at('mixed', 'notes.txt'), 'no image at all, but a file in the folder')
    writeFileSync(
      at('unseen.json'),
      JSON.stringify({ project_key: 'project.key', policies: { burned_in_text: 'unchecked' } }),
    )
    const { status, stdout } = run('mixed', 'rest', '--profile', 'unseen.json')
    expect(status).toBe(2)
    expect(stdout).toContain('0 clean, 1 quarantined, 2 refused')
    expect(stdout).toMatch(/us\.dcm: text may be burned into the pixels/)
    expect(stdout).toMatch(/cut\.dcm: no DICOM that can be read: invalid_length at byte \d+ in 7FE00010/)
    expect(readdirSync(at('rest'))).toEqual(['report.json'])
  })

  test('text that is burned into pixels is blacked out, and the report says so', () => {
    const { bytes } = simulateInstance({ seed: 3, kind: 'US', burnedIn: true })
    writeFileSync(at('us.dcm'), bytes)
    expect(run('us.dcm', 'masked', '--key', 'project.key').status).toBe(0)
    const { files } = JSON.parse(readFileSync(at('masked', 'report.json'), 'utf8'))
    expect(files['us.dcm']).toMatchObject({ outcome: 'clean', burned_in: 'cleaned' })
    const instance = parseInstance(readFileSync(at('masked', 'us.dcm')))
    expect(textOf(instance, 0x00280301)).toBe('NO')
  })

  test.each([
    ['nothing at IN', ['nowhere', 'out2'], /There is nothing at nowhere/],
    ['OUT below IN', ['in', 'in/out'], /must not be IN or below/],
    [
      'options that exclude each other',
      [
        'in',
        'out2',
        '--option',
        'retain-longitudinal-full-dates',
        '--option',
        'retain-longitudinal-modified-dates',
      ],
      /exclude each other/,
    ],
    ['an option that does not exist', ['in', 'out2', '--option', 'retain-all'], /--option/],
    ['a key that is not there', ['in', 'out2', '--key', 'none.key'], /no project key at none\.key/],
    ['a number of threads that is none', ['in', 'out2', '--threads', 'many'], /--threads must be/],
    ['one path', ['in'], /npm run deidentify/],
  ])('refuses %s with a message, and writes nothing', (_case, args, message) => {
    const { status, stderr } = run(...args)
    expect([status, stderr]).toEqual([1, expect.stringMatching(message)])
    expect(existsSync(at('out2'))).toBe(false)
  })

  test('originals go with the images and come back to the holder of the key', () => {
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
        '/CN=x',
        '-keyout',
        at('escrow.key'),
        '-out',
        at('escrow.pem'),
      ],
      { stdio: 'ignore' },
    )
    writeFileSync(
      at('escrow.json'),
      JSON.stringify({ project_key: 'project.key', escrow_certificate: 'escrow.pem' }),
    )
    expect(run('in/ct.dcm', 'sealed', '--profile', 'escrow.json').status).toBe(0)
    expect(run('--restore', 'sealed/ct.dcm', 'back.dcm', '--private-key', 'escrow.key').status).toBe(0)
    const name = (path: string) => textOf(parseInstance(readFileSync(at(path))), 0x00100010)
    expect(name('sealed/ct.dcm')).toMatch(/^V[0-9A-F]{15}$/)
    expect(name('back.dcm')).toBe(name('in/ct.dcm'))
  })

  test('half a gigabyte of frames goes through in little memory', () => {
    const header: Content[] = [
      [0x00080016, 'UI', '1.2.840.10008.5.1.4.1.1.2'],
      [0x00080018, 'UI', '1.2.826.0.1.3680043.77.1'],
      [0x00080060, 'CS', 'CT'],
      [0x00100010, 'PN', 'JANESDOTTIR^ANNA'],
      [0x00280008, 'IS', '1024'],
      [0x00280010, 'US', Buffer.of(0, 2)],
      [0x00280011, 'US', Buffer.of(0, 2)],
      [0x00280100, 'US', Buffer.of(16, 0)],
    ]
    const pixels = datasetOf([[0x7fe00010, 'OW', '']], { explicit: true, big: false })
    pixels.writeUInt32LE(2 ** 29, 8)
    const head = Buffer.concat([fileOf(header), pixels])
    mkdirSync(at('big'))
    const file = openSync(at('big', 'large.dcm'), 'w')
    writeSync(file, head)
    ftruncateSync(file, head.length + 2 ** 29)
    closeSync(file)
    const measured = (...args: string[]) => {
      const script = `process.argv.splice(1, 0); await import(${JSON.stringify(TOOL)}); process.on('exit', () => console.log('peak', process.resourceUsage().maxRSS))`
      const { stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', script, '--', ...args], {
        cwd: root,
        encoding: 'utf8',
      })
      return Number(/peak (\d+)/.exec(stdout)?.[1]) / 1024
    }
    const idle = measured('in/ct.dcm', 'small', '--key', 'project.key', '--threads', '1')
    const peak = measured('big', 'large', '--key', 'project.key', '--threads', '1')
    expect(statSync(at('large', 'large.dcm')).size).toBeGreaterThan(2 ** 29)
    expect(peak - idle).toBeLessThan(350)
    console.log(`512 MiB: ${Math.round(peak)} MB at most, ${Math.round(peak - idle)} MB above a small file`)
  })
})
