import type { LoggerService } from '@nestjs/common'
import { type DestinationStream, type Logger, pino } from 'pino'
import { correlation } from './correlation.js'

const SECRET_KEYS = [
  'authorization',
  'cookie',
  'password',
  'secret',
  'client_secret',
  'client_assertion',
  'access_token',
  'token',
  'api_key',
  'patient_id',
  'patientId',
  'patient_name',
  'patient',
  'physician_id',
  'card_number',
  'body',
]
const redacted = SECRET_KEYS.flatMap((key) => [key, `*.${key}`, `*.*.${key}`, `headers["${key}"]`])

/**
 * An error as it may be logged. Database messages quote row values ("Key (user_id)=(...)"), so that of a
 * PostgreSQL error only its code, table and constraint are kept (OWASP ASVS 5.0 16.2.5).
 */
export function describeError(error: unknown): Record<string, unknown> {
  if (!(error instanceof Error)) return { type: typeof error }
  const { code, table, constraint, routine } = error as Error & Record<string, unknown>
  const frames = error.stack?.split('\n').filter((line) => line.trimStart().startsWith('at '))
  // Parsers and the database quote what they read: their messages may hold a name or a card number.
  const quotesInput = routine !== undefined || table !== undefined || error instanceof SyntaxError
  return {
    type: error.name,
    ...(quotesInput ? { table, constraint, routine } : { message: error.message }),
    ...(code === undefined ? {} : { code }),
    stack: frames?.join('\n'),
  }
}

// What a terminal or an editor may take for a new line, a command or a turn of direction (OWASP ASVS 5.0 16.4.1);
// JSON itself escapes only what is below U+0020.
const DECEPTIVE = /[\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g
const escapeUnit = (unit: string) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`

/** JSON-lines logger with secrets and identifiers redacted by key and the correlation ID on each line. */
export function createLogger(
  service: string,
  level: string,
  destination: DestinationStream = pino.destination({ dest: 1, sync: false }),
): Logger {
  return pino(
    {
      level,
      base: { service },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: redacted, censor: '[redacted]' },
      serializers: { err: describeError, error: describeError },
      hooks: { streamWrite: (line) => line.replace(DECEPTIVE, escapeUnit) },
      // What names its correlation itself needs no other.
      mixin: (fields) => ('correlation_id' in fields ? {} : { correlation_id: correlation().correlationId }),
    },
    destination,
  )
}

/** For lines of fixed fields that hold no secret, one a request: looking for names to redact costs more than the line. */
export const withoutRedaction = (logger: Logger): Logger => logger.child({}, { redact: [] })

/** Lets Nest's own messages go through the same logger. */
export function nestLogger(logger: Logger): LoggerService {
  const write =
    (level: 'info' | 'error' | 'warn' | 'debug' | 'trace') =>
    (message: unknown, ...rest: unknown[]) => {
      const context = rest.at(-1)
      const fields = typeof context === 'string' ? { context } : {}
      if (message instanceof Error) logger[level]({ ...fields, err: message }, 'unexpected error')
      else logger[level](fields, String(message))
    }
  return {
    log: write('debug'),
    error: write('error'),
    warn: write('warn'),
    debug: write('debug'),
    verbose: write('trace'),
  }
}
