import { type Adapter, type AdapterPayload, type ClientMetadata, errors } from 'oidc-provider'
import type { Artifacts } from './artifacts.js'
import type { Client } from './clients.js'

/** What oidc-provider keeps, kept in PostgreSQL; what may be used once is used once by whatever number of replicas. */
export class ArtifactAdapter implements Adapter {
  constructor(
    private readonly model: string,
    private readonly artifacts: Artifacts,
  ) {}

  async upsert(id: string, payload: AdapterPayload, expiresIn: number): Promise<void> {
    if (this.model !== 'ReplayDetection') return this.artifacts.put(id, payload, expiresIn)
    // The provider looks first and writes then: of two at the same moment the second is found out here.
    if (!(await this.artifacts.putOnce(id, payload, expiresIn)))
      throw new errors.InvalidClientAuth('client assertion tokens must only be used once')
  }

  async consume(id: string): Promise<void> {
    if (!(await this.artifacts.consume(id))) throw new errors.InvalidGrant('already consumed')
  }

  async find(id: string) {
    return this.artifacts.get(id) as Promise<AdapterPayload | undefined>
  }

  async findByUid(uid: string) {
    return this.artifacts.getByUid(uid) as Promise<AdapterPayload | undefined>
  }

  async findByUserCode(): Promise<undefined> {
    return undefined
  }

  async destroy(id: string): Promise<void> {
    await this.artifacts.remove(id)
  }

  async revokeByGrantId(grantId: string): Promise<void> {
    await this.artifacts.removeByGrant(grantId)
  }
}

const METHODS = {
  client_secret: 'client_secret_basic',
  private_key_jwt: 'private_key_jwt',
  none: 'none',
} as const

/** Separates the hashes of a client's secrets in the one string that the provider has for a secret. */
export const HASH_SEPARATOR = '.'

const NO_SECRET = 'none'

/** A client as the provider knows it (RFC 7591 names). Its "secret" is the hashes of its secrets. */
export function clientMetadata(client: Client, issuer: string): ClientMetadata {
  const forPeople = client.redirectUris.length > 0
  return {
    client_id: client.clientId,
    client_name: client.name,
    token_endpoint_auth_method: METHODS[client.authMethod],
    ...(client.authMethod === 'client_secret'
      ? { client_secret: client.secretHashes.join(HASH_SEPARATOR) || NO_SECRET }
      : {}),
    ...(client.jwks ? { jwks: client.jwks } : {}),
    application_type: client.applicationType,
    redirect_uris: client.redirectUris.map((uri) => (uri.startsWith('/') ? `${issuer}${uri}` : uri)),
    response_types: forPeople ? ['code'] : [],
    grant_types: forPeople ? ['authorization_code'] : ['client_credentials'],
    post_logout_redirect_uris: forPeople ? [`${issuer}/`] : [],
    own_scopes: client.scopes,
    tenant: client.tenant,
    first_party: client.firstParty,
    certificate_bound: client.certificateBound,
  } as ClientMetadata
}

/** Looks clients up; the provider writes none. */
export class ClientAdapter implements Adapter {
  constructor(
    private readonly lookUp: (id: string) => Promise<Client | undefined>,
    private readonly issuer: string,
  ) {}

  async find(id: string) {
    const client = await this.lookUp(id)
    return client && (clientMetadata(client, this.issuer) as AdapterPayload)
  }

  private refuse(): Promise<never> {
    return Promise.reject(new Error('Clients are changed by the command `clients`'))
  }
  upsert = () => this.refuse()
  consume = () => this.refuse()
  destroy = () => this.refuse()
  revokeByGrantId = () => this.refuse()
  findByUid = async () => undefined
  findByUserCode = async () => undefined
}
