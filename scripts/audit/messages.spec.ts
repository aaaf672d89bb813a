import { expect, test } from 'vitest'
import { requestToken } from '../client/token.js'
import { freePort } from '../embedded/port.js'
import { readGiven } from './given.js'
import { verifyLog } from './verify-log.js'

test('a log that does not answer is named with the cause, with a token and without', async () => {
  const url = `http://127.0.0.1:${await freePort(0)}`
  const failure = `${url} cannot be reached (ECONNREFUSED)`
  expect(await verifyLog({ url })).toEqual({ ok: false, kind: 'unreadable', failure })
  const client = { name: 'auditor', client_id: 'a', client_secret: 'b', scopes: [] }
  await expect(requestToken(url, client)).rejects.toThrow(failure)
})

test('a file that is not there is named in one sentence', () => {
  expect(() => readGiven('/nowhere/kept.txt')).toThrow(/^There is no file \/nowhere\/kept\.txt$/)
  expect(() => readGiven(import.meta.dirname)).toThrow(/^There is no file /)
})
