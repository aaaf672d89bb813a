import type { ClientBase } from 'pg'
import { correlation } from './correlation.js'
import { closeSpan, isTracing, openSpan, SpanKind } from './tracing.js'

type Query = (...args: unknown[]) => unknown
type Callback = (error: unknown, result: unknown) => void

/** What a statement does, without any of its values: its name where it is prepared, else its first word. */
function summaryOf(statement: unknown): string {
  if (typeof statement === 'string') return firstWord(statement)
  const { name, text } = statement as { name?: string; text?: string }
  return name ?? firstWord(text ?? '')
}
const firstWord = (text: string): string => /^\s*([a-z]+)/i.exec(text)?.[1]?.toUpperCase() ?? 'SQL'

/** A span for a statement, below that of the work under way; none where no work is traced. */
function openStatementSpan(statement: unknown) {
  const context = correlation()
  if (!context.span) return undefined
  const summary = summaryOf(statement)
  const attributes = { 'db.system.name': 'postgresql', 'db.query.summary': summary }
  return openSpan({ ...context }, `sql ${summary}`, { kind: SpanKind.CLIENT, attributes })
}

/** Cursors and streams (`submit`) end later than their call: they are not traced. */
const isTraced = (statement: unknown): boolean =>
  typeof statement === 'string' || typeof (statement as { submit?: unknown } | null)?.submit !== 'function'

/** Makes every statement of a connection a span, while tracing is on. */
export function traceStatements(client: ClientBase): void {
  const query = client.query.bind(client) as Query
  const traced: Query = (...args) => {
    const span = isTracing() && isTraced(args[0]) ? openStatementSpan(args[0]) : undefined
    if (!span) return query(...args)
    const last = args.at(-1)
    if (typeof last === 'function') {
      const callback: Callback = (error, result) => {
        closeSpan(span, error ?? undefined)
        last(error, result)
      }
      return query(...args.slice(0, -1), callback)
    }
    return (query(...args) as Promise<unknown>).then(
      (result) => {
        closeSpan(span)
        return result
      },
      (error) => {
        closeSpan(span, error)
        throw error
      },
    )
  }
  client.query = traced as typeof client.query
}
