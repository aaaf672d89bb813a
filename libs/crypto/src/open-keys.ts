import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { AwsKms } from './aws-kms.js'
import { deriveKey } from './hkdf.js'
import { KeyCache } from './key-cache.js'
import { LocalKeyring } from './keyring.js'
import type { KeyProvider, RotatingKeyProvider } from './provider.js'
import { type Queryable, rootSecret } from './root-secret.js'
import type { KeySettings } from './settings.js'
import { Succession } from './succession.js'
import { VaultTransit } from './vault.js'
import type { VaultLogin } from './vault-token.js'

type Settings = KeySettings & { DATA_DIR: string }

/** Everything a service needs to seal and to open. */
export interface Keys {
  /** Wraps and unwraps, remembering what it unwrapped for a while. */
  provider: KeyProvider
  /** A 32-byte key for one lasting purpose, the same in every process and after every rotation. */
  derive(purpose: string): Buffer
  close(): void
}

const keyringPath = (dataDir: string): string => join(dataDir, 'secrets', 'keyring.json')

function required<K extends keyof Settings>(settings: Settings, name: K): NonNullable<Settings[K]> {
  const value = settings[name]
  if (value === undefined || value === null) throw new Error(`${name} must be set where KMS=${settings.KMS}`)
  return value
}

function vaultLogin(settings: Settings): VaultLogin {
  const { VAULT_TOKEN_FILE: path, VAULT_TOKEN: token, VAULT_ROLE_ID: roleId } = settings
  if (roleId) {
    const secretIdFile = required(settings, 'VAULT_SECRET_ID_FILE')
    return { kind: 'approle', mount: settings.VAULT_APPROLE_MOUNT, roleId, secretIdFile }
  }
  if (path) return { kind: 'token-file', path }
  if (token) return { kind: 'token', token }
  throw new Error('VAULT_ROLE_ID with VAULT_SECRET_ID_FILE, VAULT_TOKEN_FILE or VAULT_TOKEN must be set')
}

const openVault = (settings: Settings): VaultTransit =>
  new VaultTransit({
    address: required(settings, 'VAULT_ADDR'),
    ...(settings.VAULT_NAMESPACE ? { namespace: settings.VAULT_NAMESPACE } : {}),
    login: vaultLogin(settings),
    mount: settings.VAULT_TRANSIT_MOUNT,
    key: settings.VAULT_TRANSIT_KEY,
    signingKey: settings.VAULT_SIGNING_KEY,
    ...(settings.VAULT_CACERT ? { ca: readFileSync(settings.VAULT_CACERT, 'utf8') } : {}),
    timeoutMs: settings.KMS_TIMEOUT_MS,
  })

const openAws = (settings: Settings): Promise<AwsKms> =>
  AwsKms.open({
    keyId: required(settings, 'AWS_KMS_KEY_ID'),
    ...(settings.AWS_KMS_PREVIOUS_KEY_IDS ? { previousKeyIds: settings.AWS_KMS_PREVIOUS_KEY_IDS } : {}),
    ...(settings.AWS_KMS_SIGNING_KEY_ID ? { signingKeyId: settings.AWS_KMS_SIGNING_KEY_ID } : {}),
    ...(settings.AWS_REGION ? { region: settings.AWS_REGION } : {}),
    ...(settings.AWS_ENDPOINT_URL_KMS ? { endpoint: settings.AWS_ENDPOINT_URL_KMS } : {}),
    timeoutMs: settings.KMS_TIMEOUT_MS,
  })

type Closable = RotatingKeyProvider & { close?(): void }

async function openOne(kind: Settings['KMS'], settings: Settings): Promise<Closable> {
  if (kind === 'vault') return openVault(settings)
  if (kind === 'aws') return openAws(settings)
  return LocalKeyring.open(keyringPath(settings.DATA_DIR))
}

/** The key provider that the configuration names, for tools that rotate; services use openKeys. */
export async function openProvider(settings: Settings): Promise<Closable> {
  const current = await openOne(settings.KMS, settings)
  const { KMS_PREVIOUS: previous } = settings
  if (!previous || previous === settings.KMS) return current
  return new Succession(current, await openOne(previous, settings))
}

/** Unwraps with the configured provider, opened when it is needed first: most models are not encrypted. */
export function lazyUnwrap(settings: Settings): Pick<KeyProvider, 'unwrap'> {
  let opened: Promise<KeyProvider> | undefined
  return {
    unwrap: async (wrapped, context) => {
      opened ??= openProvider(settings)
      return (await opened).unwrap(wrapped, context)
    },
  }
}

/** A keyring that lies there unnamed holds the keys of what is stored: a new root beside it would find nothing. */
function refuseForgottenKeyring(settings: Settings): void {
  const path = keyringPath(settings.DATA_DIR)
  if (settings.KMS_PREVIOUS !== 'local' && existsSync(path))
    throw new Error(
      `${path} holds keys in use: set KMS_PREVIOUS=local to move from it to KMS=${settings.KMS}`,
    )
}

async function rootOf(settings: Settings, provider: KeyProvider, database: Queryable): Promise<Buffer> {
  if (settings.KMS === 'local') return LocalKeyring.open(keyringPath(settings.DATA_DIR)).root
  return rootSecret(database, provider, () => {
    refuseForgottenKeyring(settings)
    return settings.KMS_PREVIOUS === 'local'
      ? LocalKeyring.open(keyringPath(settings.DATA_DIR)).root
      : undefined
  })
}

/**
 * Opens what `KMS` names. The lasting keys derive from the root in the keyring file, or, where another service holds
 * the keys, from one that it wrapped (keys.root), made on first start.
 */
export async function openKeys(settings: Settings, database: Queryable): Promise<Keys> {
  const own = await openProvider(settings)
  const root = await rootOf(settings, own, database)
  const cache = new KeyCache(own, {
    capacity: settings.KEY_CACHE_SIZE,
    ttlMs: settings.KEY_CACHE_TTL_S * 1_000,
  })
  const close = () => {
    cache.clear()
    own.close?.()
  }
  return { provider: cache, derive: (purpose) => deriveKey(root, purpose), close }
}
