import { WINDOW_MS } from './lease.js'

/** `RateLimit-Policy` of draft-ietf-httpapi-ratelimit-headers-11, section 3: quota and window in seconds. */
export const policyField = (name: string, limit: number): string =>
  `"${name}";q=${limit};w=${WINDOW_MS / 1000}`

/** `RateLimit` of section 4 there: what remains, and the seconds until it is full again. */
export const limitField = (name: string, remaining: number, seconds: number): string =>
  `"${name}";r=${remaining};t=${seconds}`

/** What an address counts as: one for IPv4, and for IPv6 its /64, of which one person has 2^64 addresses. */
export function addressKey(ip: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(ip)
  if (mapped) return mapped[1]!
  if (!ip.includes(':')) return ip
  const [head = '', tail] = (ip.split('%')[0] ?? '').split('::')
  const groups = (text = '') => text.split(':').filter(Boolean)
  const missing = tail === undefined ? 0 : 8 - groups(head).length - groups(tail).length
  const all = [...groups(head), ...Array<string>(Math.max(0, missing)).fill('0'), ...groups(tail)]
  return `${all
    .slice(0, 4)
    .map((group) => group.toLowerCase().replace(/^0+(?=.)/, ''))
    .join(':')}::/64`
}
