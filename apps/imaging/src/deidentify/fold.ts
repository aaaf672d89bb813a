/** Text without case, accents and width: what people mean when they say that two words are the same. */
export interface Folded {
  text: string
  /** For each unit of the folded text the unit of the source it came from, then the source's length; undefined: the same. */
  from?: number[]
}

const ASCII = /^\p{ASCII}*$/u
const MARKS = /\p{M}/gu

/** Folds text; German sharp s becomes SS, wide letters narrow ones, a umlaut an A. */
export function fold(text: string): Folded {
  if (ASCII.test(text)) return { text: text.toUpperCase() }
  const from: number[] = []
  let folded = ''
  let at = 0
  for (const character of text) {
    const plain = character.normalize('NFKD').replace(MARKS, '').toUpperCase()
    for (let unit = 0; unit < plain.length; unit++) from.push(at)
    folded += plain
    at += character.length
  }
  from.push(text.length)
  return { text: folded, from }
}

/** Where a range of the folded text lies in the source. */
export function sourceRange({ from }: Folded, start: number, end: number): [number, number] {
  if (!from) return [start, end]
  // A character that folded to several is in the range as a whole.
  const first = from[start]!
  let last = end
  while (last < from.length - 1 && from[last] === from[end - 1]) last++
  return [first, from[last]!]
}
