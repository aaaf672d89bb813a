import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { arch, availableParallelism, cpus, loadavg, platform, release, totalmem } from 'node:os'
import { dirname } from 'node:path'

/** What a benchmark ran on: without it a figure means nothing. */
export interface Machine {
  cpu: string
  cores: number
  memory_gib: number
  system: string
  node: string
  /** One-minute load average when the run began: above the cores, others were at work too. */
  load: number
  commit: string
  at: string
}

function commit(): string {
  try {
    return execFileSync('git', ['describe', '--always', '--dirty'], {
      encoding: 'utf8',
      stdio: 'pipe',
    }).trim()
  } catch {
    return 'unknown'
  }
}

export const machine = (): Machine => ({
  cpu: cpus()[0]?.model.trim() ?? 'unknown',
  cores: availableParallelism(),
  memory_gib: Math.round(totalmem() / 2 ** 30),
  system: `${platform()} ${release()} ${arch()}`,
  node: process.version,
  load: Math.round(loadavg()[0]! * 10) / 10,
  commit: commit(),
  at: new Date().toISOString(),
})

/** A row of the table: a value per column; numbers are set to the right. */
export type Row = Record<string, string | number>

interface Report {
  title: string
  machine: Machine
  rows: Row[]
  /** What goes into the file beside title, machine and rows. */
  json?: Record<string, unknown>
}

/** The rows as a table of text. */
export function table(rows: readonly Row[]): string {
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))]
  const lines = [columns, ...rows.map((row) => columns.map((column) => String(row[column] ?? '')))]
  const widths = columns.map((_, at) => Math.max(...lines.map((line) => line[at]!.length)))
  const isNumeric = columns.map((column) => rows.every((row) => typeof (row[column] ?? 0) === 'number'))
  const pad = (text: string, at: number) =>
    isNumeric[at] ? text.padStart(widths[at]!) : text.padEnd(widths[at]!)
  const [head, ...body] = lines.map((line) => `  ${line.map(pad).join('  ').trimEnd()}`)
  return [head, `  ${widths.map((width) => '-'.repeat(width)).join('  ')}`, ...body].join('\n')
}

/** Prints a table with the machine it was measured on; with `BENCH_JSON=FILE`, writes all of it there as JSON too. */
export function report({ title, machine, rows, json = {} }: Report, file = process.env.BENCH_JSON): void {
  const { cpu, cores, memory_gib, system, node, load, commit: revision } = machine
  console.log(`\n${title}\n${table(rows)}`)
  console.log(
    `  ${cores} x ${cpu}, ${memory_gib} GiB, ${system}, Node ${node}, load ${load}, commit ${revision}`,
  )
  if (!file) return
  mkdirSync(dirname(file), { recursive: true })
  const before = readReports(file)
  writeFileSync(file, `${JSON.stringify([...before, { title, machine, rows, ...json }], null, 2)}\n`)
}

/** Reports already in the file: one run writes several. */
function readReports(file: string): unknown[] {
  try {
    const found: unknown = JSON.parse(readFileSync(file, 'utf8'))
    return Array.isArray(found) ? found : []
  } catch {
    return []
  }
}
