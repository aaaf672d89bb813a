/** Runs work of one key one after the other, in the order of the calls; of different keys at once. */
export class Sequential {
  private readonly last = new Map<string, Promise<unknown>>()

  run<T>(key: string, work: () => Promise<T>): Promise<T> {
    const before = this.last.get(key)
    const mine = before ? before.then(work, work) : work()
    this.last.set(key, mine)
    const forget = () => {
      if (this.last.get(key) === mine) this.last.delete(key)
    }
    mine.then(forget, forget)
    return mine
  }
}
