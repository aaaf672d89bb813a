import type { Row } from '../report.js'

/** One line of the table. A ratio is judged where a target is set. */
export interface Figure {
  part: string
  what: string
  value: string
  ratio?: number
  /** What the ratio must be: at least, or at most. */
  target?: { least?: number; most?: number }
  note?: string
}

const isMet = ({ ratio, target }: Figure): boolean | undefined => {
  if (ratio === undefined || !target) return undefined
  return ratio >= (target.least ?? 0) && ratio <= (target.most ?? Number.POSITIVE_INFINITY)
}

function targetText({ target }: Figure): string {
  if (target?.least !== undefined) return `>= ${target.least}x`
  return target?.most === undefined ? '' : `<= ${target.most}x`
}

/** The figures whose target was missed. */
export const missed = (figures: readonly Figure[]): Figure[] =>
  figures.filter((figure) => isMet(figure) === false)

/** The figures as rows of the report's table. */
export const rowsOf = (figures: readonly Figure[]): Row[] =>
  figures.map((figure) => ({
    part: figure.part,
    what: figure.what,
    measured: figure.value,
    ratio: figure.ratio === undefined ? '' : `${figure.ratio.toFixed(2)}x`,
    target: targetText(figure),
    verdict: { true: 'met', false: 'MISSED' }[String(isMet(figure))] ?? '',
    note: figure.note ?? '',
  }))
