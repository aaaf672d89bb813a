const DAY_MS = 86_400_000

/** Years and months without a day are moved from their middle, so that they err by half of themselves at most. */
const MIDDLE_MONTH = 7
const MIDDLE_DAY = 15

function moved(year: number, month: number, day: number, days: number): string | undefined {
  const date = new Date(0)
  date.setUTCFullYear(year, month - 1, day)
  // A date that no calendar has (20240231) would roll over.
  if (date.getUTCMonth() !== month - 1 || date.getUTCDate() !== day) return undefined
  const earlier = new Date(date.getTime() - days * DAY_MS)
  if (earlier.getUTCFullYear() < 1) return undefined
  return earlier.toISOString().slice(0, 10).replaceAll('-', '')
}

function shiftOne(value: string, vr: string, days: number): string | undefined {
  const text = value.trim()
  // ACR-NEMA wrote 1993.08.22, which readers still have to accept (PS3.5 6.2).
  const match = /^(\d{4})(?:\.?(\d{2})(?:\.?(\d{2}))?)?(\d{2,6}(?:\.\d{1,6})?)?([+-]\d{4})?$/.exec(text)
  if (!match || (vr === 'DA' && match[3] === undefined)) return undefined
  const [, year, month, day, time = '', zone = ''] = match
  const date = moved(Number(year), Number(month ?? MIDDLE_MONTH), Number(day ?? MIDDLE_DAY), days)
  if (!date) return undefined
  const kept = date.slice(0, day ? 8 : month ? 6 : 4)
  return vr === 'DA' ? kept : kept + time + zone
}

/**
 * A DA or DT value, or a range of DA, moved back by whole days; times of day, precision and time zone stay, and so
 * does a TM. Undefined where it is no date.
 */
export function shiftDate(value: string, vr: string, days: number): string | undefined {
  if (vr === 'TM') return value
  if (vr === 'DA' && /^\d{8}-\d{8}$/.test(value.trim())) {
    const ends = value
      .trim()
      .split('-')
      .map((end) => shiftOne(end, vr, days))
    return ends.includes(undefined) ? undefined : ends.join('-')
  }
  return shiftOne(value, vr, days)
}

const MONTHS = 'JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC'.split(' ')

/** The ways in which people write the date of a DA or DT value, in capitals. */
export function writtenForms(value: string): string[] {
  const match = /^(\d{4})\.?(\d{2})\.?(\d{2})/.exec(value.trim())
  if (!match) return []
  const [, y, m, d] = match as unknown as [string, string, string, string]
  const month = MONTHS[Number(m) - 1]
  if (!month || Number(d) < 1 || Number(d) > 31) return []
  const short = [String(Number(d)), String(Number(m))] as const
  const forms = [`${y}${m}${d}`, `${d}${m}${y}`, `${m}${d}${y}`]
  for (const mark of ['-', '.', '/', ' ']) {
    forms.push([y, m, d].join(mark), [d, m, y].join(mark), [m, d, y].join(mark))
    forms.push([short[0], short[1], y].join(mark), [short[1], short[0], y].join(mark))
    forms.push([d, m, y.slice(2)].join(mark), [m, d, y.slice(2)].join(mark), [d, month, y].join(mark))
  }
  forms.push(
    `${short[0]} ${month} ${y}`,
    `${month} ${short[0]}, ${y}`,
    `${month} ${d}, ${y}`,
    `${d}${month}${y}`,
  )
  return forms
}
