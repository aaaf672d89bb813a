export { BlindIndex, blindIndex, openBlindIndex } from './blind-index.js'
export {
  dataKeyFor,
  existingDataKey,
  KeyDestroyedError,
  type KeyScope,
  purposeKey,
} from './data-keys.js'
export { type DataKey, type FieldPlace, keyIdOf, openField, sealField } from './field.js'
export { decryptFile, encryptFile } from './file.js'
export { KeyCache } from './key-cache.js'
export { LocalKeyring } from './keyring.js'
export { type Keys, lazyUnwrap, openKeys, openProvider } from './open-keys.js'
export { OpenedFile } from './opened-file.js'
export { PatientKeys } from './patient-keys.js'
export {
  type GeneratedKey,
  type KeyProvider,
  KeyServiceUnavailableError,
  type RotatingKeyProvider,
} from './provider.js'
export { type ByteRange, decryptRange, plaintextLength, type SealedFile } from './range.js'
export type { Queryable } from './root-secret.js'
export {
  alone,
  beginRotation,
  countVersions,
  finishRotation,
  latestRotation,
  type Rotation,
} from './rotation.js'
export { KeySettings, keySettings } from './settings.js'
export { subjectRef } from './subject-ref.js'
export { NotAuthenticError } from './xaes.js'
