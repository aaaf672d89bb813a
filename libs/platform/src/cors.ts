/** CORS for the listed origins and nobody else: bearer tokens only, so cookies are never allowed to come along. */
export const corsOptions = (origins: string[]) => ({
  origin: origins,
  credentials: false,
  methods: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'],
  allowedHeaders: [
    'authorization',
    'content-type',
    'prefer',
    'purpose-of-use',
    'model-version',
    'traceparent',
    'x-api-key',
    'x-correlation-id',
  ],
  exposedHeaders: [
    'content-disposition',
    'idempotent-replayed',
    'location',
    'ratelimit',
    'ratelimit-policy',
    'retry-after',
    'x-correlation-id',
  ],
  maxAge: 600,
})
