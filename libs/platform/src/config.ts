import { z } from 'zod'

const port = z.coerce.number().int().min(0).max(65_535)

/** Settings that every service reads; each service extends it with its own. Defaults are the embedded profile. */
export const BaseConfig = z.object({
  HOST: z.string().default('127.0.0.1'),
  PORT: port.default(0),
  DATABASE_URL: z.url({ protocol: /^postgres(ql)?$/ }),
  DATABASE_POOL_MAX: z.coerce.number().int().min(1).max(200).default(16),
  DATA_DIR: z.string().default('.data'),
  LOG_LEVEL: z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']).default('info'),
  TRUST_PROXY_HOPS: z.coerce.number().int().min(0).max(10).default(0),
  DRAIN_DELAY_MS: z.coerce.number().int().min(0).max(8_000).default(250),
  ISSUER: z.url().default('http://127.0.0.1:3000'),
  TOKEN_AUDIENCE: z.string().min(1).default('vigil'),
  JWKS_URL: z.url().optional(),
})
export type BaseConfig = z.infer<typeof BaseConfig>

/**
 * Parses the environment once, at start. Throws an error that names each wrong variable and what it should
 * be, never its value (it may be a secret).
 */
export function readConfig<T extends z.ZodType>(schema: T, env: NodeJS.ProcessEnv): z.infer<T> {
  const present = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ''))
  const result = schema.safeParse(present)
  if (result.success) return result.data
  const wrong = result.error.issues.map((issue) => `  ${issue.path.join('.')}: ${issue.message}`)
  throw new Error(`The configuration is not valid:\n${wrong.join('\n')}`)
}
