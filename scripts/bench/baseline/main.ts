import 'reflect-metadata'
import { StandardSchemaValidationPipe } from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import { BaselineModule } from './baseline.module.js'

const env = (name: string): string => {
  const value = process.env[name]
  if (value === undefined) throw new Error(`${name} is not set`)
  return value
}

const module = BaselineModule.with({
  databaseUrl: env('DATABASE_URL'),
  issuer: env('ISSUER'),
  audience: env('TOKEN_AUDIENCE'),
  jwksUrl: env('JWKS_URL'),
  synchronize: process.env.SYNCHRONIZE === 'true',
})
const app = await NestFactory.create(module, { logger: ['error', 'warn'] })
app.useGlobalPipes(new StandardSchemaValidationPipe())
app.enableShutdownHooks()
await app.listen(Number(env('PORT')), env('HOST'))
