import Provider, {
  type Account,
  type Configuration,
  errors,
  interactionPolicy,
  type KoaContextWithOIDC,
  type UnknownObject,
} from 'oidc-provider'
import type pg from 'pg'
import { scopesOfRoles } from '#libs/auth'
import type { DataKey } from '#libs/crypto'
import { ArtifactAdapter, ClientAdapter, HASH_SEPARATOR } from './adapter.js'
import { Artifacts } from './artifacts.js'
import { certificateAtHand, reportFailures } from './ask.js'
import { findClient, secretMatches } from './clients.js'
import { loggedOutPage, logoutPage, providerErrorPage } from './pages.js'
import { findPerson, type Person } from './people.js'
import { RESOURCE } from './resource.js'
import type { SigningKeys } from './signing-keys.js'

export interface ProviderSettings {
  issuer: string
  /** `aud` of access tokens: what the services accept. */
  audience: string
  tokenLifetimeSeconds: number
  sessionLifetimeSeconds: number
  pool: pg.Pool
  /** Seals what is stored. */
  dataKey: DataKey
  /** Signs cookies. */
  cookieKey: string
}

const INTERACTION_LIFETIME_SECONDS = 900
const CODE_LIFETIME_SECONDS = 60
const CLOCK_SKEW_SECONDS = 15

/** What SMART Backend Services asks for (RS384, ES384), and their common relatives. */
const ASSERTION_ALGORITHMS = ['ES256', 'ES384', 'RS256', 'RS384', 'PS256', 'PS384'] as const

interface VigilClient {
  clientId: string
  own_scopes: string[]
  tenant: string
  first_party: boolean
  certificate_bound: boolean
}

const clientOf = (context: KoaContextWithOIDC) => context.oidc.client as unknown as VigilClient
const words = (text: string | undefined): string[] => text?.split(' ').filter(Boolean) ?? []

interface PersonAccount extends Account {
  person: Person
}

const accountOf = (person: Person): PersonAccount => ({
  accountId: person.id,
  person,
  claims: async () => ({
    sub: person.id,
    name: person.name,
    email: person.email,
    roles: person.roles,
    tenant: person.tenant,
  }),
})

const personOf = (context: KoaContextWithOIDC): Person | undefined =>
  (context.oidc.account as PersonAccount | undefined)?.person

/** The scopes that may be granted in this request: those of the client, and of the person's roles where one is there. */
async function grantable(context: KoaContextWithOIDC, pool: pg.Pool): Promise<string> {
  const signedIn = context.oidc.session?.accountId
  const person = personOf(context) ?? (signedIn ? await findPerson(pool, signedIn) : undefined)
  const ofClient = clientOf(context).own_scopes
  if (!person) return ofClient.join(' ')
  const ofRoles = scopesOfRoles(person.roles)
  return ofClient.filter((scope) => ofRoles.includes(scope)).join(' ')
}

/** RFC 6749 3.3: a machine that asks for no scope gets all of its own; one that asks for more gets an error. */
function settleScopes(context: KoaContextWithOIDC): void {
  const { params } = context.oidc
  if (params?.grant_type !== 'client_credentials') return
  const own = clientOf(context).own_scopes
  const wanted = words(params.scope as string | undefined)
  if (wanted.length === 0) params.scope = own.join(' ')
  else if (!wanted.every((scope) => own.includes(scope)))
    throw new errors.InvalidScope('The client may not have that scope', wanted.join(' '))
}

/** Our own applications act for whoever signs in; others ask, once, and again when roles have changed. */
async function loadExistingGrant(context: KoaContextWithOIDC, pool: pg.Pool) {
  const { oidc } = context
  const client = clientOf(context)
  const accountId = oidc.session!.accountId!
  if (!client.first_party) {
    const id = oidc.result?.consent?.grantId ?? oidc.session!.grantIdFor(client.clientId)
    return id ? oidc.provider.Grant.find(id) : undefined
  }
  const grant = new oidc.provider.Grant({ accountId, clientId: client.clientId })
  grant.addOIDCScope('openid profile email')
  grant.addResourceScope(RESOURCE, await grantable(context, pool))
  await grant.save()
  return grant
}

/** The library's policy; and whoever was disabled while their session lasted is asked to sign in, in vain. */
function signInPolicy() {
  const { base, Check } = interactionPolicy
  const policy = base()
  const gone = new Check('account_gone', 'the account is not there any more', 'login_required', ({ oidc }) =>
    Boolean(oidc.session?.accountId && !oidc.account),
  )
  policy.get('login')!.checks.add(gone)
  return policy
}

/** RFC 9068 2.2.3 and our tenant; the certificate that the token is bound to (RFC 8705 3.1). */
function tokenClaims(context: KoaContextWithOIDC): UnknownObject {
  const client = clientOf(context)
  const person = personOf(context)
  const certificate = certificateAtHand()
  if (client.certificate_bound && !certificate)
    throw new errors.InvalidGrant('This client must show its TLS certificate')
  return {
    tenant: person?.tenant ?? client.tenant,
    ...(person ? { roles: person.roles } : {}),
    ...(client.certificate_bound ? { cnf: { 'x5t#S256': certificate } } : {}),
  }
}

function configurationOf(settings: ProviderSettings, keys: SigningKeys): Configuration {
  const { issuer, audience, pool, dataKey, tokenLifetimeSeconds, sessionLifetimeSeconds } = settings
  const secure = issuer.startsWith('https:')
  const cookie = { httpOnly: true, sameSite: 'lax', secure, signed: true } as const
  return {
    adapter: (model: string) =>
      model === 'Client'
        ? new ClientAdapter((id) => findClient(pool, id), issuer)
        : new ArtifactAdapter(model, new Artifacts(model, pool, dataKey)),
    jwks: { keys: keys.signing as never },
    clientAuthMethods: ['client_secret_basic', 'client_secret_post', 'private_key_jwt', 'none'],
    clientDefaults: { id_token_signed_response_alg: 'ES256' },
    extraClientMetadata: { properties: ['own_scopes', 'tenant', 'first_party', 'certificate_bound'] },
    enabledJWA: {
      clientAuthSigningAlgValues: [...ASSERTION_ALGORITHMS],
      idTokenSigningAlgValues: ['ES256'],
    },
    clockTolerance: CLOCK_SKEW_SECONDS,
    // The `__Host-` prefix ties a cookie to this host over TLS (RFC 6265bis 4.1.3.2); it needs the path "/".
    cookies: {
      names: {
        session: secure ? '__Host-vigil_session' : 'vigil_session',
        interaction: 'vigil_interaction',
        resume: 'vigil_resume',
      },
      keys: [settings.cookieKey],
      long: cookie,
      short: cookie,
    },
    features: {
      devInteractions: { enabled: false },
      dPoP: { enabled: false },
      userinfo: { enabled: false },
      pushedAuthorizationRequests: { enabled: false },
      clientCredentials: { enabled: true },
      rpInitiatedLogout: {
        enabled: true,
        logoutSource: async (context, form) => {
          context.body = logoutPage(form)
        },
        postLogoutSuccessSource: async (context) => {
          context.body = loggedOutPage()
        },
      },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => RESOURCE,
        useGrantedResource: () => true,
        getResourceServerInfo: async (context, resource) => {
          if (resource !== RESOURCE) throw new errors.InvalidTarget()
          settleScopes(context)
          return {
            audience,
            scope: await grantable(context, pool),
            accessTokenFormat: 'jwt',
            accessTokenTTL: tokenLifetimeSeconds,
            jwt: { sign: { alg: 'ES256', kid: keys.kid } },
          }
        },
      },
    },
    routes: {
      authorization: '/auth/authorize',
      token: '/auth/token',
      end_session: '/auth/logout',
      jwks: '/.well-known/jwks.json',
    },
    interactions: {
      url: (_context, interaction) => `/auth/interaction/${interaction.uid}`,
      policy: signInPolicy(),
    },
    pkce: { required: () => true },
    responseTypes: ['code'],
    scopes: ['openid', 'profile', 'email'],
    claims: { openid: ['sub'], profile: ['name', 'roles', 'tenant'], email: ['email'] },
    conformIdTokenClaims: false,
    findAccount: async (_context, id) => {
      const person = await findPerson(pool, id)
      return person && accountOf(person)
    },
    loadExistingGrant: (context) => loadExistingGrant(context, pool),
    extraTokenClaims: (context) => tokenClaims(context),
    issueRefreshToken: async () => false,
    clientBasedCORS: () => false,
    renderError: async (context, out) => {
      context.type = 'html'
      context.body = providerErrorPage(out.error, out.error_description)
    },
    discovery: { tls_client_certificate_bound_access_tokens: true },
    ttl: {
      AccessToken: tokenLifetimeSeconds,
      ClientCredentials: tokenLifetimeSeconds,
      IdToken: tokenLifetimeSeconds,
      AuthorizationCode: CODE_LIFETIME_SECONDS,
      Interaction: INTERACTION_LIFETIME_SECONDS,
      Grant: sessionLifetimeSeconds,
      Session: sessionLifetimeSeconds,
    },
  } as Configuration
}

/** An authorization server that signs with these keys. All it remembers is in the database: it can be made anew at will. */
export function createProvider(settings: ProviderSettings, keys: SigningKeys): Provider {
  const provider = new Provider(settings.issuer, configurationOf(settings, keys))
  // What `ask` hands over is what Fastify has found out by counting hops.
  provider.proxy = true
  provider.Client.prototype.compareClientSecret = function compareHashes(actual: string) {
    return secretMatches(this.clientSecret?.split(HASH_SEPARATOR) ?? [], actual)
  }
  reportFailures(provider)
  return provider
}
