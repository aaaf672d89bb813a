import {
  type Attributes,
  diag,
  type Link,
  ROOT_CONTEXT,
  type Span,
  type SpanContext,
  SpanKind,
  SpanStatusCode,
  type Tracer,
  trace,
} from '@opentelemetry/api'
import type { SpanExporter } from '@opentelemetry/sdk-trace'
import type { Logger } from 'pino'
import { type Correlation, correlation, withCorrelation } from './correlation.js'

export { SpanKind } from '@opentelemetry/api'

export interface TracingSettings {
  service: string
  /** Base URL of an OTLP/HTTP collector; spans go to its `v1/traces`. */
  endpoint?: string
  /** Share of new traces that is recorded; a caller's sampled trace always is. */
  ratio?: number
  /** In place of the collector, for tests. */
  exporter?: SpanExporter
  logger?: Logger
}

/** Spans on their way to the collector. */
export interface Tracing {
  /** Delivers what is left and records no more. */
  stop(): Promise<void>
}

/** Beyond these, spans are dropped: a collector that is away must not take our memory. */
const MOST_WAITING = 8_192

/** Undefined while tracing is off: then a span costs one comparison. */
let tracer: Tracer | undefined

/** Whether spans are recorded. */
export const isTracing = (): boolean => tracer !== undefined

/**
 * Starts recording spans, where there is somewhere to send them. The SDK is loaded only then. No global is set and no
 * module is patched: spans are made by hand where requests, statements, batches and models are.
 */
export async function startTracing(settings: TracingSettings): Promise<Tracing | undefined> {
  const { service, endpoint, ratio = 1, logger } = settings
  if (!endpoint && !settings.exporter) return undefined
  const [sdk, { resourceFromAttributes }, { OTLPTraceExporter }] = await Promise.all([
    import('@opentelemetry/sdk-trace'),
    import('@opentelemetry/resources'),
    import('@opentelemetry/exporter-trace-otlp-http'),
  ])
  // The SDK's own messages may quote what a collector answered.
  const warn = () => logger?.warn('spans could not be delivered')
  const silent = () => undefined
  diag.setLogger({ error: warn, warn, info: silent, debug: silent, verbose: silent })
  const url = `${endpoint?.replace(/\/$/, '')}/v1/traces`
  const exporter = settings.exporter ?? new OTLPTraceExporter({ url, timeoutMillis: 5_000 })
  const provider = new sdk.TracerProvider({
    resource: resourceFromAttributes({ 'service.name': `vigil-${service}` }),
    sampler: new sdk.ParentBasedSampler({ root: new sdk.TraceIdRatioBasedSampler(ratio) }),
    spanLimits: { attributeValueLengthLimit: 256 },
    spanProcessors: [
      new sdk.BatchSpanProcessor({ exporter, maxQueueSize: MOST_WAITING, scheduledDelayMillis: 1_000 }),
    ],
  })
  const mine = provider.getTracer('vigil')
  tracer = mine
  return {
    stop: async () => {
      if (tracer === mine) tracer = undefined
      await provider.shutdown().catch(warn)
    },
  }
}

const TRACEPARENT = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/

/** The span that a `traceparent` header names (W3C Trace Context), or undefined. */
export function parseTraceparent(header: string | undefined): SpanContext | undefined {
  const [, traceId, spanId, flags] = TRACEPARENT.exec(header ?? '') ?? []
  if (!traceId || !spanId || !flags || /^0+$/.test(traceId) || /^0+$/.test(spanId)) return undefined
  return { traceId, spanId, traceFlags: Number.parseInt(flags, 16) & 1, isRemote: true }
}

const formatTraceparent = ({ traceId, spanId, traceFlags }: SpanContext): string =>
  `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`

export interface SpanSettings {
  kind?: SpanKind
  /** Never an identifier of a person or payment, never a value of a statement. */
  attributes?: Attributes
  /** What this work is done for, where that is more than one thing. */
  links?: readonly Link[]
}

const parentOf = ({ span, traceparent }: Correlation) => {
  const parent = span?.spanContext() ?? parseTraceparent(traceparent)
  return parent ? trace.setSpanContext(ROOT_CONTEXT, parent) : ROOT_CONTEXT
}

/** Starts a span below what the correlation names, and makes it what work under that correlation is below. */
export function openSpan(under: Correlation, name: string, settings: SpanSettings = {}): Span | undefined {
  if (!tracer) return undefined
  const { links, ...rest } = settings
  const span = tracer.startSpan(name, { ...rest, links: [...(links ?? [])] }, parentOf(under))
  under.span = span
  under.traceparent = formatTraceparent(span.spanContext())
  return span
}

/** Ends a span; an error is told by its class alone, since messages may quote what was read. */
export function closeSpan(span: Span | undefined, error?: unknown): void {
  if (!span) return
  if (error !== undefined) {
    span.setAttribute('error.type', error instanceof Error ? error.name : typeof error)
    span.setStatus({ code: SpanStatusCode.ERROR })
  }
  span.end()
}

/** Runs work in a span of its own; while tracing is off, just runs it. */
export async function inSpan<T>(name: string, settings: SpanSettings, work: () => Promise<T>): Promise<T> {
  if (!tracer) return work()
  const inside = { ...correlation() }
  const span = openSpan(inside, name, settings)
  try {
    const result = await withCorrelation(inside, work)
    closeSpan(span)
    return result
  } catch (error) {
    closeSpan(span, error)
    throw error
  }
}
