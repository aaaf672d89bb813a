/** Says in one sentence what kept `fetch` from a server: undici puts the reason into the cause of "fetch failed". */
export function unreachable(url: string, error: unknown): string {
  const { cause, message } = error as Error
  const { code, message: reason } = (cause ?? {}) as { code?: string; message?: string }
  return `${url} cannot be reached (${code ?? (reason || message)})`
}
