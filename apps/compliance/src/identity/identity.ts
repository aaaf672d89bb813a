import type Provider from 'oidc-provider'
import type pg from 'pg'
import type { Logger } from 'pino'
import { z } from 'zod'
import type { Keys } from '#libs/crypto'
import { Artifacts, collectArtifacts } from './artifacts.js'
import { collectAttempts, SignInAttempts } from './attempts.js'
import type { ProviderSettings } from './provider.js'
import { SignIn } from './sign-in.js'
import { KeyChest, type SigningKeys } from './signing-keys.js'

/** Settings of the authorization server. */
export const IdentitySettings = z.object({
  /** How long an access token lives; a revoked client or person is out when the last one has expired. */
  TOKEN_LIFETIME_SECONDS: z.coerce.number().int().min(60).max(900).default(600),
  /** How long somebody stays signed in. */
  SESSION_LIFETIME_HOURS: z.coerce.number().int().min(1).max(24).default(8),
  /** Whether people without a second factor must set one up at their next sign-in. */
  SECOND_FACTOR: z.enum(['required', 'optional']).default('optional'),
  SIGNING_KEY_MAX_AGE_DAYS: z.coerce.number().int().min(1).max(366).default(30),
})
type IdentitySettings = z.infer<typeof IdentitySettings>

/** Longer than a copy of the key set lives in anybody's cache. */
export const KEY_LEAD_SECONDS = 600
const SKEW_SECONDS = 60
const TEND_MS = 60_000

/** The authorization server as the controllers use it. */
export interface Identity {
  /** The provider that signs with the key whose turn it is. */
  provider(): Promise<Provider>
  keys(): Promise<SigningKeys>
  signIn: SignIn
  cookieKey: string
  secondFactor: IdentitySettings['SECOND_FACTOR']
  stop(): void
}

interface Needs {
  pool: pg.Pool
  keys: Keys
  logger: Logger
  issuer: string
  audience: string
  settings: IdentitySettings
}

/** Names the one key of this purpose in what it seals. */
const DATA_KEY_ID = '6964656e-7469-8479-8000-000000000001'

/** Runs the housekeeping of a minute; what fails is tried again in the next. */
function keepHouse(work: () => Promise<unknown>, logger: Logger): () => void {
  const timer = setInterval(() => {
    work().catch((err: Error) => logger.error({ err }, 'housekeeping of the identities failed: trying again'))
  }, TEND_MS)
  timer.unref()
  return () => clearInterval(timer)
}

/** Opens the authorization server; rejects where its signing keys cannot be opened. */
export async function openIdentity({
  pool,
  keys,
  logger,
  issuer,
  audience,
  settings,
}: Needs): Promise<Identity> {
  const dataKey = { id: DATA_KEY_ID, key: keys.derive('identity') }
  const cookieKey = keys.derive('identity cookies').toString('base64url')
  const chest = new KeyChest(pool, keys.provider, {
    maxAgeDays: settings.SIGNING_KEY_MAX_AGE_DAYS,
    leadSeconds: KEY_LEAD_SECONDS,
    lingerSeconds: settings.TOKEN_LIFETIME_SECONDS + SKEW_SECONDS,
  })
  await chest.tend()
  await chest.keys()
  const provider = providers({
    issuer,
    audience,
    pool,
    dataKey,
    cookieKey,
    tokenLifetimeSeconds: settings.TOKEN_LIFETIME_SECONDS,
    sessionLifetimeSeconds: settings.SESSION_LIFETIME_HOURS * 3600,
  })
  return {
    keys: () => chest.keys(),
    provider: async () => provider(await chest.keys()),
    signIn: new SignIn({
      pool,
      dataKey,
      attempts: new SignInAttempts(pool, keys.derive('identity attempts')),
      steps: new Artifacts('SignInStep', pool, dataKey),
      secondFactor: settings.SECOND_FACTOR,
    }),
    cookieKey,
    secondFactor: settings.SECOND_FACTOR,
    stop: keepHouse(() => Promise.all([chest.tend(), collectArtifacts(pool), collectAttempts(pool)]), logger),
  }
}

/**
 * Providers are made for a set of keys, and anew when it changes: nothing but the keys is in them. Their library is
 * loaded when the first is asked for: nobody waits for it at the start.
 */
function providers(settings: ProviderSettings): (keys: SigningKeys) => Promise<Provider> {
  let made: { of: string; provider: Provider } | undefined
  return async (keys) => {
    const { createProvider } = await import('./provider.js')
    const of = keys.signing.map(({ kid }) => kid).join(' ')
    if (made?.of !== of) made = { of, provider: createProvider(settings, keys) }
    return made.provider
  }
}
