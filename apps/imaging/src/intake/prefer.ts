const MAX_WAIT_SECONDS = 60

/** Seconds of a `Prefer: wait=N` header (RFC 7240 4.3), at most 60; undefined where there is none that counts. */
export function preferredWait(header: string | string[] | undefined): number | undefined {
  const preferences = [header ?? []].flat().join(',').split(/[,;]/)
  for (const preference of preferences) {
    const match = /^\s*wait\s*=\s*"?(\d{1,9})"?\s*$/i.exec(preference)
    if (match) return Math.min(Number(match[1]), MAX_WAIT_SECONDS)
  }
  return undefined
}
