/** Marks of the side of the body that a radiographer places; nothing else is ever spared. */
const MARKS = /^(?:L|R|LT|RT|LEFT|RIGHT|\(L\)|\(R\))$/

/** Whether a line of text is nothing but a laterality mark. */
export const isLaterality = (text: string): boolean => MARKS.test(text.trim())

/**
 * Reads one line by greedy CTC decoding: the likeliest class of each step, repetitions and blanks (class 0) left out.
 * Classes after the blank are `letters`, then the space. `confidence` is the least likely letter's.
 */
export function readLine(
  probabilities: Float32Array,
  classes: number,
  letters: readonly string[],
): { text: string; confidence: number } {
  let text = ''
  let confidence = 1
  let previous = 0
  for (let step = 0; step < probabilities.length / classes; step++) {
    let best = 0
    for (let at = 1; at < classes; at++)
      if (probabilities[step * classes + at]! > probabilities[step * classes + best]!) best = at
    if (best !== 0 && best !== previous) {
      text += letters[best - 1] ?? ' '
      confidence = Math.min(confidence, probabilities[step * classes + best]!)
    }
    previous = best
  }
  return { text, confidence: text === '' ? 0 : confidence }
}
