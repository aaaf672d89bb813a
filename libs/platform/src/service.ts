import type { Server } from 'node:https'
import { type DynamicModule, StandardSchemaValidationPipe, type Type } from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify'
import type { FastifyInstance } from 'fastify'
import type { Logger } from 'pino'
import type { HttpConfig } from './config.js'
import { refuseConnection, serverOptions } from './connection.js'
import { corsOptions } from './cors.js'
import { frameworkErrors, installHttp, timesOf } from './http.js'
import { nestLogger } from './logger.js'
import { describeRoutes } from './openapi.js'
import { type Check, installOperations, type Readiness } from './operations.js'
import { ProblemFilter } from './problem.filter.js'
import { reloadTls, tlsFiles, tlsOptions } from './tls.js'
import { startTracing } from './tracing.js'
import { invalidRequest } from './validation.js'

interface ServiceOptions {
  name: 'fraud' | 'imaging' | 'compliance' | 'witness'
  title: string
  module: Type | DynamicModule
  config: HttpConfig
  logger: Logger
  checks: Record<string, Check>
  /** Largest body in bytes of routes that do not set their own; default 1 MiB. */
  bodyLimit?: number
  /** Called before the routes are mapped, for plugins of the HTTP server. */
  configure?: (fastify: FastifyInstance) => Promise<void>
}

/** A service that listens. */
export interface RunningService {
  url: string
  app: NestFastifyApplication
  /** Not ready, then drained and closed; resolves when nothing is left open. */
  stop(): Promise<void>
}

const MIB = 1024 * 1024

/** Longest that a request may take to arrive in full: streams of payments and large images are long. */
const REQUEST_TIMEOUT_MS = 3_600_000

function createAdapter({ config, bodyLimit = MIB }: ServiceOptions): FastifyAdapter {
  const files = tlsFiles(config)
  const server = serverOptions(timesOf(config))
  return new FastifyAdapter({
    ...(files ? { https: { ...server, ...tlsOptions(files) } } : { http: server }),
    clientErrorHandler: refuseConnection,
    bodyLimit,
    logger: false,
    // By hop count only: trusting every proxy would let any client choose its own address.
    trustProxy: (_address, hop) => hop < config.TRUST_PROXY_HOPS,
    requestTimeout: REQUEST_TIMEOUT_MS,
    connectionTimeout: 150_000,
    keepAliveTimeout: 65_000,
    forceCloseConnections: 'idle',
    // What was accepted before the end is answered: it would get a 503 that is not of our making.
    return503OnClosing: false,
    routerOptions: { maxParamLength: 256 },
    frameworkErrors,
  })
}

/** Starts a Nest application with everything that all services share, and listens. */
export async function startService(options: ServiceOptions): Promise<RunningService> {
  const { name, title, config, logger, checks } = options
  const readiness: Readiness = { accepting: true }
  const tracing = await startTracing({
    service: name,
    endpoint: config.OTEL_EXPORTER_OTLP_ENDPOINT,
    ratio: config.OTEL_TRACES_SAMPLER_ARG,
    logger,
  })
  const adapter = createAdapter(options)
  const fastify = adapter.getInstance() as unknown as FastifyInstance
  installHttp(fastify, { service: name, logger, readiness, config })
  const app = await NestFactory.create<NestFastifyApplication>(options.module, adapter, {
    bodyParser: false,
    logger: nestLogger(logger),
    abortOnError: false,
  })
  app.useGlobalFilters(new ProblemFilter(logger))
  app.useGlobalPipes(new StandardSchemaValidationPipe({ exceptionFactory: invalidRequest }))
  if (config.CORS_ORIGINS.length > 0) app.enableCors(corsOptions(config.CORS_ORIGINS))
  await options.configure?.(fastify)
  installOperations(fastify, name, readiness, checks)
  describeRoutes(app, title)
  await app.listen(config.PORT, config.HOST)
  const url = await app.getUrl()
  logger.info({ url }, 'listening')
  const files = tlsFiles(config)
  const stopReloading = files && reloadTls(fastify.server as unknown as Server, files, logger)
  const stop = async () => {
    stopReloading?.()
    readiness.accepting = false
    await new Promise((resolve) => setTimeout(resolve, config.DRAIN_DELAY_MS))
    await app.close()
    await tracing?.stop()
  }
  return { url, app, stop }
}

const HARD_LIMIT_MS = 9_500

/**
 * Ends the process in order on SIGTERM, SIGINT or the loss of the parent process: not ready, drain, exit 0;
 * exit 1 if that takes longer than 9.5 s.
 */
export function stopOnSignals(service: RunningService, logger: Logger): void {
  let stopping = false
  const stop = (reason: string) => {
    if (stopping) return
    stopping = true
    logger.info({ reason }, 'stopping')
    setTimeout(() => {
      logger.error('did not stop in time')
      process.exit(1)
    }, HARD_LIMIT_MS).unref()
    service.stop().then(
      () => {
        logger.info('stopped')
        process.exit(0)
      },
      (err) => {
        logger.error({ err }, 'stopped with an error')
        process.exit(1)
      },
    )
  }
  process.once('SIGTERM', () => stop('SIGTERM'))
  process.once('SIGINT', () => stop('SIGINT'))
  process.once('disconnect', () => stop('parent process is gone'))
}
