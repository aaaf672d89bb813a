import { z } from 'zod'

const port = z.coerce.number().int().min(0).max(65_535)

const origins = z.string().transform((text, context) => {
  const list = text.split(',').map((origin) => origin.trim())
  for (const origin of list)
    if (!URL.canParse(origin) || new URL(origin).origin !== origin)
      context.addIssue({
        code: 'custom',
        message: 'must be exact origins such as https://console.example.org',
      })
  return list
})

/** Settings that every service reads; each service extends it with its own. Defaults are the embedded profile. */
export const BaseConfig = z.object({
  HOST: z.string().default('127.0.0.1'),
  PORT: port.default(0),
  DATABASE_URL: z.url({ protocol: /^postgres(ql)?$/ }),
  DATABASE_POOL_MAX: z.coerce.number().int().min(1).max(200).default(16),
  DATA_DIR: z.string().default('.data'),
  LOG_LEVEL: z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']).default('info'),
  TRUST_PROXY_HOPS: z.coerce.number().int().min(0).max(10).default(0),
  /** PEM files; with the first two the service speaks HTTPS. */
  TLS_CERT: z.string().optional(),
  TLS_KEY: z.string().optional(),
  /** Authority of client certificates (mTLS). */
  TLS_CLIENT_CA: z.string().optional(),
  /** Whether a client may come without a certificate where TLS_CLIENT_CA is set; one that is wrong is never accepted. */
  TLS_CLIENT_AUTH: z.enum(['required', 'optional']).default('required'),
  /** Web origins that browsers may call us from, comma-separated; none by default. */
  CORS_ORIGINS: origins.default([]),
  /** How long the headers, and a body that is read whole, may take to arrive. */
  HEADERS_TIMEOUT_MS: z.coerce.number().int().min(100).max(120_000).default(10_000),
  BODY_TIMEOUT_MS: z.coerce.number().int().min(100).max(600_000).default(30_000),
  DRAIN_DELAY_MS: z.coerce.number().int().min(0).max(8_000).default(250),
  /** Where spans go (OTLP over HTTP, base URL); none are made without it. */
  OTEL_EXPORTER_OTLP_ENDPOINT: z.url({ protocol: /^https?$/ }).optional(),
  /** Share of new traces that is recorded; a trace that a caller began is recorded as the caller says. */
  OTEL_TRACES_SAMPLER_ARG: z.coerce.number().min(0).max(1).default(1),
  ISSUER: z.url().default('http://127.0.0.1:3000'),
  TOKEN_AUDIENCE: z.string().min(1).default('vigil'),
  JWKS_URL: z.url().optional(),
})
export type BaseConfig = z.infer<typeof BaseConfig>

/** What is needed to serve HTTP; a process without a database has no more. */
export type HttpConfig = Omit<BaseConfig, 'DATABASE_URL' | 'DATABASE_POOL_MAX'>

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
