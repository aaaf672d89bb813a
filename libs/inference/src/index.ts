export { ModelArchive, type ModelReference, type Unavailable } from './archive.js'
export { ModelCard } from './card.js'
export { ModelError } from './error.js'
export { Model, type RunnableModel, type Values } from './model.js'
export { Guard, GuardError, type GuardSettings, type GuardState } from './resilience/guard.js'
export { GuardedModel } from './resilience/guarded-model.js'
export { watchedGuard } from './resilience/watched.js'
export {
  filesOf,
  hashFiles,
  SEALED,
  SEALED_KEY,
  SIGNATURE,
  sealedContext,
  trustedKeys,
  verifyModel,
} from './signing/artifact.js'
export { keyHint, signStatement } from './signing/bundle.js'
export { statementOf } from './signing/statement.js'
