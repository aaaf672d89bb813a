import pg from 'pg'
import { expect, test } from 'vitest'
import { correlationFrom, withCorrelation } from './correlation.js'
import { createLogger, withoutRedaction } from './logger.js'

function capture(write: (logger: ReturnType<typeof createLogger>) => void): string {
  const lines: string[] = []
  write(createLogger('fraud', 'info', { write: (line: string) => void lines.push(line) }))
  return lines.join('')
}

test('secrets and identifiers are redacted wherever they stand', () => {
  const text = capture((logger) => {
    logger.info({ authorization: 'Bearer CANARY', request: { headers: { cookie: 'CANARY' } } }, 'x')
    logger.info({ patient_id: 'CANARY', job: { patient: 'CANARY' }, client_secret: 'CANARY' }, 'x')
  })
  expect(text).toContain('[redacted]')
  expect(text).not.toContain('CANARY')
})

test('a database error is logged without the row values that its message quotes', () => {
  const error = new pg.DatabaseError('duplicate key (patient)=(CANARY)', 10, 'error')
  Object.assign(error, {
    code: '23505',
    detail: 'Key (patient)=(CANARY)',
    constraint: 'c',
    table: 't',
    routine: 'r',
  })
  const text = capture((logger) => logger.error({ err: error }, 'failed'))
  expect(text).not.toContain('CANARY')
  expect(JSON.parse(text).err).toMatchObject({ code: '23505', constraint: 'c', table: 't' })
})

test('one line per message, whatever the fields hold', () => {
  const text = capture((logger) => logger.info({ note: 'a\r\n{"level":"error"}\u2028b' }, 'x'))
  expect(text.trimEnd().split('\n')).toHaveLength(1)
})

test('lines carry the correlation ID of the request that caused them', () => {
  const correlationId = '01890a5d-ac96-774b-bcce-b302099a8057'
  const context = correlationFrom({ 'x-correlation-id': correlationId })
  const text = capture((logger) => withCorrelation(context, () => logger.info('x')))
  expect(JSON.parse(text).correlation_id).toBe(correlationId)
})

test('a correlation header that is no UUID is replaced, not logged', () => {
  expect(correlationFrom({ 'x-correlation-id': 'DOE^JANE' }).correlationId).not.toContain('DOE')
})

test('a line that names its correlation says it once, with or without redaction', () => {
  const correlation_id = '01890a5d-ac96-774b-bcce-b302099a8057'
  const fields = { status: 200, note: '\u2028', correlation_id }
  const [plain, redacted] = [withoutRedaction, (logger: ReturnType<typeof createLogger>) => logger].map(
    (of) => capture((logger) => of(logger).info(fields, 'request')),
  )
  const untimed = (line: string) => line.replace(/"time":"[^"]+"/, '')
  expect(untimed(plain!)).toBe(untimed(redacted!))
  expect(plain!.split(correlation_id)).toHaveLength(2)
  expect(plain).not.toContain('\u2028')
})
