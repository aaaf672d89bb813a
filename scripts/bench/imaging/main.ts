import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { machine, type Row, report } from '../report.js'
import { writeFrames, writeSlices } from './material.js'
import { measure, type Peer, peers, type Run } from './peers.js'
import { benchPixels } from './pixels.js'

const USAGE = `npm run bench:imaging -- [--files 200] [--rounds 3] [--large-mib 1024]
De-identifies headers against gdcmanon, dcmodify and pydicom, on the same files, in the same run, one tool after the other
within each round; on tmpfs where there is one. The median round counts.`

const TOOL = join(import.meta.dirname, '../../deidentify.js')
const MIB = 2 ** 20
const median = (numbers: number[]): number =>
  numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)]!
const round = (value: number, digits = 0): number => Number(value.toFixed(digits))

const ours = (key: string, threads: number): Peer => ({
  name: `Vigil, ${threads} thread${threads > 1 ? 's' : ''}`,
  command: (input, output) => [
    process.execPath,
    TOOL,
    input,
    output,
    '--key',
    key,
    '--threads',
    String(threads),
  ],
})

/** The same code in a process that goes on, as the service's does. */
const warm: Peer = {
  name: 'Vigil, 1 thread, warm process',
  command: (input, output) => [process.execPath, join(import.meta.dirname, 'warm.js'), input, output, '3'],
}

/** Seconds between the first file and the last, where the tool says so: the start of the process apart. */
const working = (run: Run): number => Number(/ in ([\d.]+) s/.exec(run.stdout)?.[1] ?? run.seconds)

function sizeOf(folder: string): { files: number; bytes: number } {
  const sizes = readdirSync(folder).map((name) => statSync(join(folder, name)).size)
  return { files: sizes.length, bytes: sizes.reduce((sum, size) => sum + size, 0) }
}

/** Every tool over a folder, interleaved, so that whatever else the machine does hits all of them. */
function compare(tools: Peer[], input: string, root: string, rounds: number): Row[] {
  const { files, bytes } = sizeOf(input)
  const able = tools.filter(({ missing }) => !missing)
  const runs = new Map<Peer, Run[]>(able.map((tool) => [tool, []]))
  for (let at = 0; at <= rounds; at++)
    for (const tool of able) {
      const run = measure(tool, input, join(root, 'out'))
      // The first round warms the caches of the machine.
      if (at > 0) runs.get(tool)!.push(run)
    }
  const rate = (tool: Peer) => files / median(runs.get(tool)!.map(working))
  const yardstick = able.find(({ name }) => name.startsWith('gdcmanon'))
  return tools.map((tool): Row => {
    if (tool.missing) return { tool: tool.name, note: tool.missing }
    const of = runs.get(tool)!
    return {
      tool: tool.name,
      'files/s': round(rate(tool), files === 1 ? 2 : 0),
      'MB/s': round((rate(tool) * bytes) / files / 1e6),
      'x gdcmanon': yardstick ? round(rate(tool) / rate(yardstick), 2) : '',
      'process s': tool === warm ? '' : round(median(of.map(({ seconds }) => seconds)), 2),
      'CPU ms/file':
        tool === warm ? '' : round((1000 * median(of.map(({ cpuSeconds }) => cpuSeconds))) / files, 2),
      'peak MB': round(median(of.map(({ peakMb }) => peakMb))),
      note: '',
    }
  })
}

function largeRows(root: string, key: string, mib: number): Row[] {
  const folder = join(root, 'large')
  mkdirSync(folder)
  writeFrames(join(folder, 'large.dcm'), mib * MIB)
  const idle = measure(ours(key, 1), join(root, 'one'), join(root, 'out'))
  const plain = measure(ours(key, 1), folder, join(root, 'out'))
  rmSync(join(root, 'out'), { recursive: true, force: true })
  const script = join(import.meta.dirname, 'sealed.js')
  const sealed = JSON.parse(
    execFileSync(process.execPath, [script, join(folder, 'large.dcm')], { encoding: 'utf8' }),
  )
  const row = (path: string, seconds: number, above: number, peak: number): Row => ({
    path,
    MiB: mib,
    s: round(seconds, 1),
    'MB/s': round((mib * MIB) / 1e6 / seconds),
    'MB above idle': round(above),
    'peak MB': round(peak),
  })
  return [
    row('command line, file to file', working(plain), plain.peakMb - idle.peakMb, plain.peakMb),
    row('imaging worker, encrypted to encrypted', sealed.seconds, sealed.aboveIdleMb, sealed.peakMb),
  ]
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      files: { type: 'string', default: '200' },
      rounds: { type: 'string', default: '3' },
      'large-mib': { type: 'string', default: '1024' },
      help: { type: 'boolean', short: 'h' },
    },
  })
  if (values.help) {
    console.log(USAGE)
    return
  }
  const host = machine()
  const root = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'vigil-bench-'))
  const [key, certificate] = [join(root, 'project.key'), join(root, 'c.pem')]
  try {
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
        '/CN=bench',
        '-keyout',
        join(root, 'c.key'),
        '-out',
        certificate,
      ],
      { stdio: 'ignore' },
    )
    writeSlices(join(root, 'slices'), Number(values.files))
    writeSlices(join(root, 'one'), 1)
    mkdirSync(join(root, 'frames'))
    writeFrames(join(root, 'frames', 'frames.dcm'), 100 * MIB)
    measure(
      {
        ...ours(key, 1),
        command: (...paths) => [...ours(key, 1).command(...paths), '--create-key'] as never,
      },
      join(root, 'one'),
      join(root, 'out'),
    )
    const all = availableParallelism()
    const tools = [ours(key, 1), warm, ...(all > 1 ? [ours(key, all)] : []), ...peers(certificate)]
    const rounds = Number(values.rounds)
    report({
      title: `headers of ${values.files} CT slices of 0.5 MB`,
      machine: host,
      rows: compare(tools, join(root, 'slices'), root, rounds),
    })
    const single = [tools[0]!, ...peers(certificate)]
    report({
      title: 'headers of one multi-frame instance of 100 MiB',
      machine: host,
      rows: compare(single, join(root, 'frames'), root, rounds),
    })
    rmSync(join(root, 'slices'), { recursive: true })
    report({
      title: 'one instance larger than memory should hold',
      machine: host,
      rows: largeRows(root, key, Number(values['large-mib'])),
    })
    report({ title: 'finding text in the pixels of one frame', machine: host, rows: await benchPixels() })
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
}

await main()
