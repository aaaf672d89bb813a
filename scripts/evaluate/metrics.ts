/** How well probabilities tell two classes apart. */
export interface Metrics {
  auc: number
  accuracy: number
  sensitivity: number
  specificity: number
  /** Expected calibration error over ten bins. */
  ece: number
}

/** Area under the ROC curve: the share of pairs in the right order, ties half (Mann and Whitney). */
function auc(scores: readonly number[], truth: readonly boolean[]): number {
  const order = scores.map((score, at) => ({ score, positive: truth[at]! })).sort((a, b) => a.score - b.score)
  let [rankSum, at] = [0, 0]
  while (at < order.length) {
    let end = at
    while (end < order.length && order[end]!.score === order[at]!.score) end++
    const rank = (at + 1 + end) / 2
    rankSum += rank * order.slice(at, end).filter(({ positive }) => positive).length
    at = end
  }
  const positives = truth.filter(Boolean).length
  return (rankSum - (positives * (positives + 1)) / 2) / (positives * (truth.length - positives))
}

function calibrationError(scores: readonly number[], truth: readonly boolean[], bins = 10): number {
  const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length
  return Array.from({ length: bins }, (_, bin) => {
    const inside = scores
      .map((score, at) => ({ score, at }))
      .filter(({ score }) => Math.min(bins - 1, Math.floor(score * bins)) === bin)
    if (inside.length === 0) return 0
    const share = mean(inside.map(({ at }) => (truth[at] ? 1 : 0)))
    return (inside.length / scores.length) * Math.abs(mean(inside.map(({ score }) => score)) - share)
  }).reduce((sum, part) => sum + part, 0)
}

/** Metrics of probabilities against the truth, at a threshold. */
export function metricsOf(scores: readonly number[], truth: readonly boolean[], threshold: number): Metrics {
  const share = (of: (at: number) => boolean, hit: (at: number) => boolean) => {
    const all = scores.map((_, at) => at).filter(of)
    return all.filter(hit).length / all.length
  }
  const called = (at: number) => scores[at]! >= threshold
  return {
    auc: auc(scores, truth),
    accuracy: share(
      () => true,
      (at) => called(at) === truth[at],
    ),
    sensitivity: share((at) => truth[at]!, called),
    specificity: share(
      (at) => !truth[at]!,
      (at) => !called(at),
    ),
    ece: calibrationError(scores, truth),
  }
}
