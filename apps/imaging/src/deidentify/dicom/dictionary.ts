import { DICTIONARY, REPEATING_GROUPS } from '../tables/dictionary.generated.js'

function read(): Map<number, string> {
  const vrs = new Map<number, string>()
  let [vr, tag] = ['', 0]
  for (const word of DICTIONARY.trim().split(/\s+/)) {
    if (/^[A-Z]{2}$/.test(word)) [vr, tag] = [word, 0]
    else {
      tag += Number.parseInt(word, 36)
      vrs.set(tag, vr)
    }
  }
  return vrs
}

const vrs = read()
const repeating = new Map(
  REPEATING_GROUPS.trim()
    .split('\n')
    .map((line) => [Number.parseInt(line.slice(4, 8), 16), line.slice(9)] as const),
)

/** The VR that PS3.6 gives an attribute; undefined where it does not know it. */
export function standardVr(tag: number): string | undefined {
  const known = vrs.get(tag)
  if (known) return known
  const group = tag >>> 24
  if (group === 0x50 || group === 0x60) return repeating.get(tag & 0xffff)
  if ((tag & 0xffff) === 0) return 'UL'
  // Private creators (PS3.5 7.8.1).
  return (tag >>> 16) & 1 && (tag & 0xffff) >= 0x10 && (tag & 0xffff) <= 0xff ? 'LO' : undefined
}
