import { expect, test } from 'vitest'
import { BaseConfig, readConfig } from './config.js'

const url = 'postgres://vigil_fraud:CANARY@127.0.0.1:5432/vigil'

test('defaults are the embedded profile', () => {
  expect(readConfig(BaseConfig, { DATABASE_URL: url })).toMatchObject({
    HOST: '127.0.0.1',
    LOG_LEVEL: 'info',
  })
})

test('an empty variable counts as absent', () => {
  expect(readConfig(BaseConfig, { DATABASE_URL: url, HOST: '' }).HOST).toBe('127.0.0.1')
})

test('every wrong variable is named, no value is shown', () => {
  const read = () => readConfig(BaseConfig, { DATABASE_URL: 'mysql://u:CANARY@h/x', PORT: '70000' })
  expect(read).toThrow(/DATABASE_URL[\s\S]*PORT|PORT[\s\S]*DATABASE_URL/)
  expect(read).not.toThrow(/CANARY/)
})
