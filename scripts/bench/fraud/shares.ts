/** What V8 writes with --cpu-prof: a call tree, the node of each sample, and the microseconds since the one before. */
export interface CpuProfile {
  nodes: { id: number; callFrame: { functionName: string; url: string }; children?: number[] }[]
  samples: number[]
  timeDeltas: number[]
}

/** First match wins; the parts of a decision by where their code lies. */
const KINDS: readonly [kind: string, matches: (name: string, url: string) => boolean][] = [
  ['idle', (name) => name === '(idle)'],
  ['garbage collection', (name) => name === '(garbage collector)'],
  ['model and reasons', (_, url) => /onnxruntime|\/inference\/|\/scoring\//.test(url)],
  [
    'token check',
    (name, url) =>
      /jsonwebtoken|\/jws|\/jwa|ecdsa|passport|\/jose\/|libs\/auth\//.test(url) ||
      /verifyOneShot|_verify/.test(name),
  ],
  ['validation', (_, url) => /node_modules\/zod|validation/.test(url)],
  [
    'canonical form and hashes',
    (name, url) => /canonicalize|crypto\/(hash|random)/.test(url) || name === 'update' || name === 'digest',
  ],
  [
    'JSON',
    (name, url) =>
      (name === 'parse' && url === '') || name === 'stringify' || /platform\/src\/body/.test(url),
  ],
  ['SQL client', (_, url) => /node_modules\/pg|\.sql\.js|\.sql\.ts/.test(url)],
  ['log and metrics', (_, url) => /pino|prom-client|sonic-boom|fast-redact/.test(url)],
  [
    'HTTP and framework',
    (_, url) =>
      /fastify|@nestjs|node:_?http|node:internal\/(http|streams)|node:net|find-my-way|rxjs|libs\/platform\/src\/(http|service|correlation)/.test(
        url,
      ),
  ],
  ['features and policy', (_, url) => /apps\/fraud\/src\/(features|policy)/.test(url)],
  ['deciding and the rest of ours', (_, url) => /apps\/fraud|libs\//.test(url)],
]

function kindOf(name: string, url: string): string | undefined {
  return KINDS.find(([, matches]) => matches(name, url))?.[0]
}

/** Samples between two moments, in microseconds since the profile began: start-up is not what is measured. */
function* samplesWithin({ samples, timeDeltas }: CpuProfile, from: number, to: number) {
  let at = 0
  for (const [index, id] of samples.entries()) {
    at += timeDeltas[index]!
    if (at >= from && at < to) yield { id, micros: timeDeltas[index]! }
  }
}

/**
 * Share of the busy time by part, between two moments in seconds since the process began. Native and built-in work
 * counts for the part of ours that called it.
 */
export function sharesOf(profile: CpuProfile, from = 0, to = Number.POSITIVE_INFINITY): [string, number][] {
  const kind = kindsOf(profile)
  const time = new Map<string, number>()
  for (const { id, micros } of samplesWithin(profile, from * 1e6, to * 1e6))
    time.set(kind(id), (time.get(kind(id)) ?? 0) + micros)
  time.delete('idle')
  const busy = [...time.values()].reduce((sum, value) => sum + value, 0)
  return [...time].map(([name, value]): [string, number] => [name, value / busy]).sort((a, b) => b[1] - a[1])
}

/** The part that each node of the call tree belongs to: its own, or that of its nearest known caller. */
function kindsOf({ nodes }: CpuProfile): (id: number) => string {
  const byId = new Map(nodes.map((node) => [node.id, node]))
  const parents = new Map(
    nodes.flatMap((node) => (node.children ?? []).map((child) => [child, node.id] as const)),
  )
  const kinds = new Map<number, string>()
  const kind = (id: number): string => {
    const known = kinds.get(id)
    if (known) return known
    const { functionName, url } = byId.get(id)!.callFrame
    const parent = parents.get(id)
    const found =
      kindOf(functionName, url) ??
      (parent === undefined ? 'runtime (sockets, promises, timers)' : kind(parent))
    kinds.set(id, found)
    return found
  }
  return kind
}
