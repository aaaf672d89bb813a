import { existsSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'

interface Service {
  image: string
  command?: string[]
  networks: string[]
  ports?: string[]
  environment?: Record<string, string>
  volumes?: string[]
  depends_on?: Record<string, { condition: string }>
  healthcheck?: { test: string[] }
}

interface Compose {
  services: Record<string, Service>
  networks: Record<string, { internal?: boolean } | null>
  volumes: Record<string, null>
}

interface Routes {
  http: {
    routers: Record<string, { rule: string; service: string; middlewares: string[] }>
    middlewares: Record<string, { rateLimit?: { average: number; period: string } }>
    services: Record<string, { loadBalancer: { serversTransport: string; servers: { url: string }[] } }>
    serversTransports: Record<string, { forwardingTimeouts: { responseHeaderTimeout: string } }>
  }
}

const text = readFileSync('docker-compose.yml', 'utf8')
const compose: Compose = parse(text, { merge: true })
const { http }: Routes = parse(readFileSync('deploy/traefik/routes.yml', 'utf8'))
const services = Object.entries(compose.services)
const ours = ['compliance', 'fraud', 'imaging'] as const

describe('docker-compose.yml', () => {
  test('runs the three services, a witness, PostgreSQL, Redis and the gateway; keys are turned over on demand', () => {
    expect(Object.keys(compose.services).sort()).toEqual(
      [
        'compliance',
        'fraud',
        'gateway',
        'imaging',
        'migrate',
        'postgres',
        'redis',
        'rotate-keys',
        'witness',
      ].sort(),
    )
  })

  test.each(services)('%s refers only to services, networks and volumes that exist', (_name, service) => {
    for (const [dependency, { condition }] of Object.entries(service.depends_on ?? {})) {
      const target = compose.services[dependency]
      expect(target, dependency).toBeDefined()
      if (condition === 'service_healthy') expect(target?.healthcheck).toBeDefined()
    }
    for (const network of service.networks) expect(compose.networks).toHaveProperty(network)
    for (const volume of service.volumes ?? []) {
      const source = volume.split(':')[0] ?? ''
      if (source.startsWith('.')) expect(existsSync(source), source).toBe(true)
      else expect(compose.volumes).toHaveProperty(source)
    }
  })

  test.each([...ours, 'migrate', 'rotate-keys'])('%s starts a file that the build makes', (name) => {
    const script = compose.services[name]?.command?.[1] ?? ''
    expect(existsSync(script.replace(/^dist\//, '').replace(/\.js$/, '.ts')), script).toBe(true)
  })

  test('no image is without a version', () => {
    for (const [name, { image }] of services) expect(image, name).toMatch(/:.*\d/)
  })

  test('only the gateway is reachable from outside, on the loopback address', () => {
    expect(compose.networks.inside?.internal).toBe(true)
    const published = services.filter(([, service]) => service.ports)
    expect(published.map(([name]) => name)).toEqual(['gateway'])
    expect(published[0]?.[1].ports).toEqual(['127.0.0.1:8080:8080'])
  })

  test('every service logs in to the database as a role of its own, none as the administrator', () => {
    for (const name of ours) {
      expect(compose.services[name]?.environment?.DATABASE_URL).toContain(`postgres://vigil_${name}:`)
    }
  })

  test('no password has a default, and the example names every variable', () => {
    const variables = [...text.matchAll(/\$\{(\w+)(:[?-])/g)]
    const example = readFileSync('deploy/example.env', 'utf8')
    for (const [, name, kind] of variables) {
      if (name?.endsWith('PASSWORD')) expect(kind, name).toBe(':?')
      expect(example).toMatch(new RegExp(`^${name}=`, 'm'))
    }
    expect(variables.length).toBeGreaterThan(5)
  })
})

describe('the gateway', () => {
  test('routes refer to services, middlewares and transports that exist', () => {
    for (const router of Object.values(http.routers)) {
      expect(http.services).toHaveProperty(router.service)
      for (const middleware of router.middlewares) expect(http.middlewares).toHaveProperty(middleware)
    }
    for (const [name, { loadBalancer }] of Object.entries(http.services)) {
      expect(http.serversTransports).toHaveProperty(loadBalancer.serversTransport)
      const port = compose.services[name]?.environment?.PORT
      expect(loadBalancer.servers).toEqual([{ url: `http://${name}:${port}` }])
    }
  })

  test('limits and time-outs are those of the public contract', () => {
    const perMinute = (name: string) => http.middlewares[`${name}-limit`]?.rateLimit
    expect(perMinute('predict')).toMatchObject({ average: 1000, period: '1m' })
    expect(perMinute('images')).toMatchObject({ average: 500, period: '1m' })
    expect(perMinute('transactions')).toMatchObject({ average: 600_000, period: '1m' })
    expect(perMinute('token')).toMatchObject({ average: 60, period: '1m' })
    const wait = (name: string) => http.serversTransports[name]?.forwardingTimeouts.responseHeaderTimeout
    expect([wait('inference'), wait('processing')]).toEqual(['30s', '120s'])
  })

  test('operational endpoints are not routed', () => {
    const rules = Object.values(http.routers).map((router) => router.rule)
    for (const path of ['/metrics', '/ready', '/health']) expect(rules.join(' ')).not.toContain(path)
  })
})
