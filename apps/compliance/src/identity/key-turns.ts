/** A signing key and when its turn begins. */
export interface KeyTurn {
  kid: string
  signsFrom: Date
}

/** Which key signs, which are published, and which have nothing left to verify. */
export interface Turns {
  signing: string | undefined
  published: string[]
  finished: string[]
}

/**
 * Keys take turns in the order of `signsFrom`: a key signs until its successor does, is published before that, and
 * stays published for `lingerMs` after, so that no token outlives the key that verifies it.
 */
export function turnsAt(keys: readonly KeyTurn[], now: number, lingerMs: number): Turns {
  const inOrder = [...keys].sort((a, b) => a.signsFrom.getTime() - b.signsFrom.getTime())
  const endOf = (at: number) => inOrder[at + 1]?.signsFrom.getTime() ?? Number.POSITIVE_INFINITY
  const isOver = (at: number) => endOf(at) + lingerMs <= now
  return {
    signing: inOrder.findLast(({ signsFrom }) => signsFrom.getTime() <= now)?.kid,
    published: inOrder.filter((_, at) => !isOver(at)).map(({ kid }) => kid),
    finished: inOrder.filter((_, at) => isOver(at)).map(({ kid }) => kid),
  }
}
