import { Controller, Get, Header, Inject, Req } from '@nestjs/common'
import { ApiExcludeController } from '@nestjs/swagger'
import type { FastifyRequest } from 'fastify'
import { Public, ROLE_SCOPES, SMART_SCOPES } from '#libs/auth'
import { COMPLIANCE, type Compliance } from '../compliance.js'
import { ask } from './ask.js'

const CACHEABLE = 'public, max-age=300'

/** SMART Backend Services: what a system may be registered for (FHIR resource, read and search). */

const API_SCOPES = [...SMART_SCOPES, ...new Set(Object.values(ROLE_SCOPES).flat())]
const GRANTS = ['client_credentials', 'authorization_code']

/** What clients and resource servers read about this authorization server. Public by their standards. */
@ApiExcludeController()
@Public('discovery is for every client and verifier')
@Controller('.well-known')
export class DiscoveryController {
  constructor(@Inject(COMPLIANCE) private readonly compliance: Compliance) {}

  /** RFC 7517; from the database, so that every replica publishes a key before any of them signs with it. */
  @Get('jwks.json')
  @Header('cache-control', CACHEABLE)
  async jwks() {
    return (await this.compliance.identity.keys()).published
  }

  /** OpenID Connect Discovery 3. */
  @Get('openid-configuration')
  @Header('cache-control', CACHEABLE)
  openid(@Req() request: FastifyRequest) {
    return this.document(request)
  }

  /** RFC 8414. */
  @Get('oauth-authorization-server')
  @Header('cache-control', CACHEABLE)
  oauth(@Req() request: FastifyRequest) {
    return this.document(request)
  }

  /** SMART App Launch 2.2, "Conformance": backend services only. */
  @Get('smart-configuration')
  @Header('cache-control', CACHEABLE)
  smart() {
    const { issuer } = this.compliance
    return {
      issuer,
      jwks_uri: `${issuer}/.well-known/jwks.json`,
      authorization_endpoint: `${issuer}/auth/authorize`,
      token_endpoint: `${issuer}/auth/token`,
      token_endpoint_auth_methods_supported: ['private_key_jwt', 'client_secret_basic', 'client_secret_post'],
      token_endpoint_auth_signing_alg_values_supported: ['RS384', 'ES384', 'ES256'],
      grant_types_supported: GRANTS,
      code_challenge_methods_supported: ['S256'],
      scopes_supported: API_SCOPES,
      capabilities: ['client-confidential-asymmetric', 'client-confidential-symmetric', 'permission-v2'],
    }
  }

  /** The provider's own document, without the grant that it knows and we do not give, with the scopes of the API. */
  private async document(request: FastifyRequest): Promise<object> {
    const provider = await this.compliance.identity.provider()
    const answer = await ask(provider, request, {
      method: 'GET',
      url: request.url,
      accept: 'application/json',
    })
    const document = JSON.parse(answer.body) as { scopes_supported: string[] }
    const scopes_supported = [...document.scopes_supported, ...API_SCOPES]
    return { ...document, grant_types_supported: GRANTS, scopes_supported }
  }
}
