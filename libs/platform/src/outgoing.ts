import { lookup as resolve } from 'node:dns'
import { BlockList, isIP, isIPv6 } from 'node:net'
import { Agent, buildConnector, fetch, type Response } from 'undici'

/** What may be called besides public addresses: host names as they stand in a URL, and networks in CIDR form. */
export interface OutgoingRules {
  hosts?: readonly string[]
  networks?: readonly string[]
  timeoutMs?: number
  maxBytes?: number
  /** Resolves names; replaced by tests. */
  lookup?: typeof resolve
}

export class OutgoingRefused extends Error {
  override readonly name = 'OutgoingRefused'
  constructor(readonly reason: 'address' | 'scheme' | 'redirect' | 'credentials' | 'too-large') {
    super(`The call was refused (${reason})`)
  }
}

// What is not the public Internet by the IANA special-purpose address registries (RFC 6890), and what leads to it:
// NAT64 (RFC 6052), 6to4 (RFC 3056) and Teredo (RFC 4380) carry an IPv4 address inside.
const SPECIAL = [
  ...['0.0.0.0/8', '10.0.0.0/8', '100.64.0.0/10', '127.0.0.0/8', '169.254.0.0/16', '172.16.0.0/12'],
  ...['192.0.0.0/24', '192.0.2.0/24', '192.88.99.0/24', '192.168.0.0/16', '198.18.0.0/15', '198.51.100.0/24'],
  ...['203.0.113.0/24', '224.0.0.0/4', '240.0.0.0/4'],
  ...['::/96', '64:ff9b::/96', '64:ff9b:1::/48', '100::/64', '2001::/23', '2001:db8::/32', '2002::/16'],
  ...['3fff::/20', '5f00::/16', 'fc00::/7', 'fe80::/10', 'fec0::/10', 'ff00::/8'],
]

function blockList(networks: readonly string[]): BlockList {
  const list = new BlockList()
  for (const network of networks) {
    const [address = '', prefix] = network.split('/')
    list.addSubnet(address, Number(prefix), isIPv6(address) ? 'ipv6' : 'ipv4')
  }
  return list
}
const special = blockList(SPECIAL)
const contains = (list: BlockList, address: string) => list.check(address, isIPv6(address) ? 'ipv6' : 'ipv4')

/** Whether an address is one that a stranger's URL must not make us call. IPv4 inside IPv6 counts as IPv4. */
export const isSpecialAddress = (address: string): boolean =>
  isIP(address) === 0 || contains(special, address)

const bare = (host: string) => host.replace(/^\[|\]$/g, '')

/**
 * `fetch` for URLs that others may have chosen (webhooks, key sets): HTTPS only, no redirects, a limit of time and
 * size, and an address that is checked when the connection is made, so that a name that resolves to something else the
 * second time (DNS rebinding) gains nothing. Rejects with OutgoingRefused; a listed host may be private and plain.
 */
export function outgoing(rules: OutgoingRules = {}) {
  const { hosts = [], timeoutMs = 5_000, maxBytes = 1024 * 1024 } = rules
  const allowed = blockList(rules.networks ?? [])
  const mayCall = (address: string) => contains(allowed, address) || !isSpecialAddress(address)
  const agent = new Agent({ connect: guardedConnector(rules.lookup ?? resolve, hosts, mayCall) })
  const call = async (
    input: string | URL,
    init: { headers?: Record<string, string>; body?: string; method?: string } = {},
  ) => {
    const url = new URL(input)
    const isListed = hosts.includes(url.hostname)
    if (url.protocol !== 'https:' && !(isListed && url.protocol === 'http:'))
      throw new OutgoingRefused('scheme')
    if (url.username || url.password) throw new OutgoingRefused('credentials')
    const response = await fetch(url, {
      ...init,
      redirect: 'manual',
      dispatcher: agent,
      signal: AbortSignal.timeout(timeoutMs),
    }).catch(asRefusal)
    if (response.status >= 300 && response.status < 400) throw new OutgoingRefused('redirect')
    return { status: response.status, headers: response.headers, text: () => readUpTo(response, maxBytes) }
  }
  return Object.assign(call, { close: () => agent.close() })
}

/** undici wraps what a connector said; who called wants to know that, not "fetch failed". */
function asRefusal(error: Error): never {
  throw error.cause instanceof OutgoingRefused ? error.cause : error
}

async function readUpTo(response: Response, maxBytes: number): Promise<string> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of response.body ?? []) {
    bytes += chunk.length
    if (bytes > maxBytes) throw new OutgoingRefused('too-large')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function guardedConnector(
  resolveName: typeof resolve,
  hosts: readonly string[],
  mayCall: (address: string) => boolean,
): buildConnector.connector {
  const lookup = ((
    host: string,
    options: object,
    done: (error: Error | null, addresses: unknown) => void,
  ) => {
    resolveName(host, { ...options, all: true }, (error, addresses) => {
      if (error) return done(error, [])
      const open = hosts.includes(host) ? addresses : addresses.filter(({ address }) => mayCall(address))
      return open.length > 0 ? done(null, open) : done(new OutgoingRefused('address'), [])
    })
  }) as never
  const connect = buildConnector({ lookup, autoSelectFamily: true, timeout: 3_000 })
  return (options, done) => {
    const host = bare(options.hostname)
    // A literal address is not looked up.
    const isRefused = isIP(host) !== 0 && !hosts.includes(options.hostname) && !mayCall(host)
    return isRefused ? done(new OutgoingRefused('address'), null) : connect(options, done)
  }
}
