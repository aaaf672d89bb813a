export { BLIND_INDEX_VERSION, blindIndex } from './blind-index.js'
export {
  dataKeyFor,
  destroyDataKeys,
  existingDataKey,
  KeyDestroyedError,
  type KeyScope,
} from './data-keys.js'
export { type DataKey, type FieldPlace, keyIdOf, openField, sealField } from './field.js'
export { decryptFile, encryptFile } from './file.js'
export { KeyCache } from './key-cache.js'
export { LocalKeyring } from './keyring.js'
export type { GeneratedKey, KeyProvider } from './provider.js'
export { type ByteRange, decryptRange, plaintextLength, type SealedFile } from './range.js'
export { NotAuthenticError } from './xaes.js'
