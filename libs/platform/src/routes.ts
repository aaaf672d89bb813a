import type { FastifyInstance, FastifyRequest } from 'fastify'
import { type ProblemError, problems } from './problem.js'

interface Route {
  url: string
  methods: string[]
  pattern: RegExp
}

const routesOf = new WeakMap<object, Route[]>()

const toPattern = (url: string): RegExp =>
  new RegExp(
    `^${url
      .replace(/[.+?^${}()|[\]\\]/g, '\\$&')
      .replace(/:\w+/g, '[^/]+')
      .replaceAll('*', '.*')}$`,
  )

/** Keeps the list of routes as they are added, to tell 404 from 405 later. */
export function rememberRoutes(fastify: FastifyInstance): void {
  const routes: Route[] = []
  routesOf.set(fastify.server, routes)
  fastify.addHook('onRoute', ({ method, url }) => {
    if (url !== '*') routes.push({ url, methods: [method].flat(), pattern: toPattern(url) })
  })
}

/** Every path that a server answers at, as it was declared. */
export const routedPaths = (server: object): string[] => [
  ...new Set((routesOf.get(server) ?? []).map(({ url }) => url)),
]

/** 404, or 405 with `Allow` where another method is routed at this path (RFC 9110 15.5.6). */
export function unroutedProblem(request: FastifyRequest): ProblemError {
  const path = request.url.split('?')[0] ?? '/'
  const routes = routesOf.get(request.server.server) ?? []
  const allowed = routes.filter(({ pattern }) => pattern.test(path)).flatMap(({ methods }) => methods)
  return allowed.length > 0
    ? problems.methodNotAllowed({ headers: { allow: [...new Set(allowed)].sort().join(', ') } })
    : problems.notFound({ detail: 'There is no such resource' })
}
