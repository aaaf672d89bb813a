/** RFC 9457 member of `errors`: where the input is wrong, as an RFC 6901 JSON pointer, and why. */
export interface FieldError {
  pointer: string
  detail: string
}

/** RFC 9457 problem details as they go over the wire. */
export interface ProblemDetails {
  type: string
  title: string
  status: number
  detail?: string
  instance?: string
  errors?: FieldError[]
  [extension: string]: unknown
}

interface ProblemOptions {
  detail?: string
  errors?: FieldError[]
  headers?: Record<string, string>
  extensions?: Record<string, unknown>
}

/** Thrown by shells (controllers, guards); the problem filter turns it into `application/problem+json`. */
export class ProblemError extends Error {
  override readonly name = 'ProblemError'
  constructor(
    readonly code: string,
    readonly title: string,
    readonly status: number,
    readonly options: ProblemOptions = {},
  ) {
    super(options.detail ?? title)
  }

  /** The wire form; `instance` names the request, never its content. */
  toDetails(instance: string): ProblemDetails {
    const { detail, errors, extensions } = this.options
    return {
      type: `urn:vigil:problem:${this.code}`,
      title: this.title,
      status: this.status,
      ...(detail ? { detail } : {}),
      instance,
      ...(errors ? { errors } : {}),
      ...extensions,
    }
  }
}

const define =
  (code: string, title: string, status: number) =>
  (options: ProblemOptions = {}): ProblemError =>
    new ProblemError(code, title, status, options)

/** The whole catalogue, from throw to wire. No problem is made anywhere else. */
export const problems = {
  invalidRequest: define('invalid-request', 'The request is not valid', 400),
  unauthenticated: define('unauthenticated', 'Authentication is required', 401),
  invalidClient: define('invalid-client', 'Client authentication failed', 401),
  forbidden: define('forbidden', 'Not allowed', 403),
  notFound: define('not-found', 'Not found', 404),
  methodNotAllowed: define('method-not-allowed', 'Method not allowed', 405),
  notAcceptable: define('not-acceptable', 'Not acceptable', 406),
  timeout: define('timeout', 'The request took too long', 408),
  conflict: define('conflict', 'Conflict with the stored state', 409),
  gone: define('gone', 'No longer available', 410),
  tooLarge: define('too-large', 'The request is too large', 413),
  unsupportedMediaType: define('unsupported-media-type', 'Unsupported media type', 415),
  unprocessable: define('unprocessable', 'The content cannot be processed', 422),
  tooManyRequests: define('too-many-requests', 'Too many requests', 429),
  headersTooLarge: define('headers-too-large', 'Request header fields are too large', 431),
  internal: define('internal', 'Internal error', 500),
  unavailable: define('unavailable', 'Temporarily unavailable', 503),
} as const

/** The problem for an HTTP status that a library raised (framework errors, body parser, router). */
export function problemForStatus(status: number): ProblemError {
  const known = Object.values(problems)
    .map((make) => make())
    .find((problem) => problem.status === status)
  if (known) return known
  return status >= 400 && status < 500
    ? new ProblemError('invalid-request', problems.invalidRequest().title, status)
    : problems.internal()
}
