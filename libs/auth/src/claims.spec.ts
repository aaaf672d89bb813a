import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { at, principalFrom } from './claims.js'
import { IssuerPolicy, OidcIssuers } from './issuer-policy.js'

const policy = (changes: object = {}) =>
  IssuerPolicy.parse({ issuer: 'https://id.example', name: 'bank', audience: 'vigil', ...changes })

describe('a JSON pointer (RFC 6901)', () => {
  // Section 5 of the RFC.
  const document = { foo: ['bar', 'baz'], '': 0, 'a/b': 1, 'c%d': 2, 'e^f': 3, 'g|h': 4, ' ': 7, 'm~n': 8 }
  test.each<[string, unknown]>([
    ['/foo', ['bar', 'baz']],
    ['/foo/0', 'bar'],
    ['/a~1b', 1],
    ['/c%d', 2],
    ['/e^f', 3],
    ['/g|h', 4],
    ['/ ', 7],
    ['/m~0n', 8],
  ])('%s', (pointer, value) => expect(at(document, pointer)).toEqual(value))

  test('reaches own members only, and never throws', () => {
    for (const pointer of ['/__proto__', '/constructor/name', '/foo/length/x', '/toString'])
      expect(at(document, pointer)).toBeUndefined()
    fc.assert(
      fc.property(fc.jsonValue(), fc.string(), (value, text) => {
        at(value, `/${text}`)
      }),
    )
  })
})

test('Keycloak: roles in a nested list, the client in azp, a service account by its name', () => {
  const keycloak = policy({
    claims: { tenant: { value: 'default' }, client_id: '/azp', roles: '/realm_access/roles' },
    roles: { 'fraud-analyst': 'analyst' },
    machine: { claim: '/preferred_username', starts_with: 'service-account-' },
  })
  const claims = {
    iss: 'https://id.example',
    sub: '7f',
    azp: 'console',
    scope: 'openid profile',
    realm_access: { roles: ['offline_access', 'fraud-analyst'] },
    preferred_username: 'ana',
  }
  const person = principalFrom(claims, keycloak)!
  expect(person).toMatchObject({
    type: 'user',
    subject: 'bank:7f',
    clientId: 'bank:console',
    roles: ['analyst'],
  })
  expect([...person.scopes].sort()).toEqual(['data:read', 'fraud:review', 'openid', 'profile'])
  expect(person.actor()).toEqual({ type: 'user', id: 'bank:7f' })
  const machine = principalFrom({ ...claims, preferred_username: 'service-account-batch' }, keycloak)!
  expect(machine.actor()).toEqual({ type: 'client', id: 'bank:console' })
})

test('Auth0 and Entra: claims with slashes in their names, scopes as a list, tenants that it may speak for', () => {
  const entra = policy({
    claims: { tenant: { claim: '/https:~1~1vigil~1tenant' }, scope: '/scp', client_id: '/appid' },
    tenants: ['north', 'south'],
  })
  const claims = { iss: 'https://id.example', sub: 's', appid: 'a', scp: ['data:read', 'audit:read'] }
  const of = (tenant: unknown) => principalFrom({ ...claims, 'https://vigil/tenant': tenant }, entra)
  expect(of('north')).toMatchObject({ tenant: 'north', scopes: ['data:read', 'audit:read'] })
  for (const other of ['default', '', undefined, ['north'], 'x'.repeat(65)]) expect(of(other)).toBeUndefined()
})

test('a role that nobody mapped gives nothing, even if it has the name of one of ours', () => {
  const claims = {
    iss: 'i',
    sub: 's',
    client_id: 'c',
    tenant: 't',
    roles: ['auditor', 'operator', '__proto__'],
  }
  expect(principalFrom(claims, policy())).toMatchObject({ roles: [], scopes: [] })
})

describe('OIDC_ISSUERS', () => {
  const one = { issuer: 'https://id.example', name: 'bank', audience: 'vigil' }
  test('nothing, one, several', () => {
    expect(OidcIssuers.parse(undefined)).toEqual([])
    expect(OidcIssuers.parse(JSON.stringify([one]))[0]).toMatchObject({ algorithms: ['ES256', 'RS256'] })
  })
  test.each<[string, string]>([
    ['no JSON', 'https://id.example'],
    ['an issuer twice', JSON.stringify([one, { ...one, name: 'other' }])],
    ['a name twice', JSON.stringify([one, { ...one, issuer: 'https://two.example' }])],
    ['a shared secret', JSON.stringify([{ ...one, algorithms: ['HS256'] }])],
    ['no signature', JSON.stringify([{ ...one, algorithms: ['none'] }])],
    ['no audience', JSON.stringify([{ issuer: one.issuer, name: 'x' }])],
    ['a name that ends in a colon', JSON.stringify([{ ...one, name: 'bank:' }])],
    ['a misspelt member', JSON.stringify([{ ...one, jwks_url: 'https://id.example/keys' }])],
  ])('%s is refused', (_case, text) => expect(OidcIssuers.safeParse(text).success).toBe(false))
})
