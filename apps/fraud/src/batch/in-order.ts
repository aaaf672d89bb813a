/** One thing under way; `text` from the moment it is done. */
interface Slot {
  done: Promise<unknown>
  text?: string
}

/** Two sides that wait for each other: a promise that the other side resolves. */
class Signal {
  private resolve?: () => void

  wait(): Promise<void> {
    return new Promise((resolve) => {
      this.resolve = resolve
    })
  }

  raise(): void {
    this.resolve?.()
    this.resolve = undefined
  }
}

/**
 * Maps a stream with at most `window` items under way and yields the results in input order, several at once where
 * they are ready. Input is read no faster than results are taken; a result that is ready never waits for input. When
 * `stop` is aborted it ends after what is under way; an error of the input is thrown after the results before it.
 */
export async function* inOrder<T>(
  source: AsyncIterable<T>,
  map: (item: T) => Promise<string>,
  window: number,
  stop: AbortSignal = new AbortController().signal,
): AsyncGenerator<string> {
  const slots: Slot[] = []
  const filled = new Signal()
  const room = new Signal()
  let ended = false
  let abandoned = false
  const wake = () => {
    filled.raise()
    room.raise()
  }
  stop.addEventListener('abort', wake)

  const read = async () => {
    for await (const item of source) {
      if (abandoned || stop.aborted) return
      const slot: Slot = { done: Promise.resolve() }
      slot.done = map(item).then((text) => {
        slot.text = text
      })
      slots.push(slot)
      filled.raise()
      while (slots.length >= window && !abandoned && !stop.aborted) await room.wait()
    }
  }
  const reading = read().finally(() => {
    ended = true
    filled.raise()
  })
  // It is awaited below, but may fail long before.
  reading.catch(() => undefined)
  try {
    for (;;) {
      const first = slots[0]
      if (first) {
        await first.done
        const pending = slots.findIndex((slot) => slot.text === undefined)
        const ready = slots.splice(0, pending < 0 ? slots.length : pending)
        room.raise()
        yield ready.map((slot) => slot.text).join('')
      } else if (stop.aborted) return
      else if (ended) return await reading
      else await filled.wait()
    }
  } finally {
    abandoned = true
    stop.removeEventListener('abort', wake)
    room.raise()
  }
}
