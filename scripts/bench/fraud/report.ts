import { cpus, loadavg, totalmem } from 'node:os'
import type { Figure } from './bench.js'

const met = ({ ratio, target }: Figure): boolean | undefined =>
  ratio === undefined || !target
    ? undefined
    : ratio >= (target.least ?? 0) && ratio <= (target.most ?? Number.POSITIVE_INFINITY)

const targetText = ({ target }: Figure) =>
  target?.least !== undefined ? `>= ${target.least}x` : target?.most !== undefined ? `<= ${target.most}x` : ''

/** The figures whose target was missed. */
export const failures = (figures: readonly Figure[]): Figure[] =>
  figures.filter((figure) => met(figure) === false)

/** The figures as aligned text. */
export function table(figures: readonly Figure[]): string {
  const verdict = (figure: Figure) => ({ true: 'met', false: 'MISSED' })[String(met(figure))] ?? ''
  const rows = figures.map((figure) => [
    figure.part,
    figure.what,
    figure.value,
    figure.ratio === undefined ? '' : `${figure.ratio.toFixed(2)}x`,
    targetText(figure),
    verdict(figure),
    figure.note ?? '',
  ])
  const lines = [['part', 'what', 'measured', 'ratio', 'target', '', ''], ...rows]
  const widths = lines[0]!.map((_, column) => Math.max(...lines.map((line) => line[column]!.length)))
  return lines
    .map((line) =>
      line
        .map((cell, column) => cell.padEnd(widths[column]!))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

/** What the figures were measured on. */
export function machine(postgresql: string) {
  const [cpu] = cpus()
  const facts = {
    cpu: cpu?.model ?? 'unknown',
    cores: cpus().length,
    memory_gib: Math.round(totalmem() / 2 ** 30),
    node: process.version,
    postgresql,
    load_average: loadavg()[0],
    measured_at: new Date().toISOString(),
  }
  const text = `${facts.cores} cores (${facts.cpu}), ${facts.memory_gib} GiB, Node ${facts.node}, PostgreSQL ${postgresql}, fsync on; load average ${facts.load_average?.toFixed(1)}`
  return { ...facts, text }
}
