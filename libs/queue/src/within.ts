/** How long a connection may take to say goodbye. */
export const CLOSE_MS = 1_000

/** Waits for something at most so long; that it failed is nobody's business any more. */
export const within = (work: Promise<unknown>, ms: number): Promise<unknown> =>
  Promise.race([work.catch(() => undefined), new Promise((resolve) => setTimeout(resolve, ms).unref())])
