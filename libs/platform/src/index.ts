export { MAX_JSON_DEPTH, parseForm, parseJson } from './body.js'
export { holdsCardNumber, noCardNumber } from './card-number.js'
export { BaseConfig, readConfig } from './config.js'
export { type Correlation, correlation, correlationFrom, withCorrelation } from './correlation.js'
export { createPool, inTransaction, isUnavailable, sqlState } from './database.js'
export { writeDurably } from './durable-file.js'
export { isUuid, newId } from './ids.js'
export { createLogger, describeError } from './logger.js'
export { httpDuration, metrics } from './metrics.js'
export { NotReady } from './operations.js'
export { isSpecialAddress, OutgoingRefused, type OutgoingRules, outgoing } from './outgoing.js'
export { toProblem } from './problem.filter.js'
export { type FieldError, type ProblemDetails, ProblemError, problems } from './problem.js'
export { type RunningService, startService, stopOnSignals } from './service.js'
export { type ClientCertificate, clientCertificate } from './tls.js'
export {
  inSpan,
  parseTraceparent,
  SpanKind,
  startTracing,
  type Tracing,
} from './tracing.js'
export { invalidRequest } from './validation.js'
