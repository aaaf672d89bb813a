import { describe, expect, test } from 'vitest'
import { validateFhir } from '../../../../test/support/fhir.js'
import type { TrailEntry } from '../trail/entry.js'
import { toAuditEvent } from './audit-event.js'
import { kindOf } from './balp.js'
import { rangeOf } from './search.js'

const id = '01890a5d-ac96-774b-bcce-b302099a8057'
const entryOf = (action: string, more: Partial<TrailEntry> = {}): TrailEntry => ({
  ...{ id, recorded_at: '2026-01-01T00:00:00.000000Z', log_index: 7, tenant: 'default', service: 'imaging' },
  ...{ actor: { type: 'user', id: 'dr-house' }, action, outcome: 'success', correlation_id: id },
  subject: { type: 'image', id },
  ...more,
})

interface Slice {
  type?: { code?: string; coding?: { code: string }[] }
  role?: { code: string }
  who?: object
  network?: object
  requestor?: boolean
  what?: object
  query?: string
}
const agentsOf = (event: Record<string, unknown>, code: string) =>
  (event.agent as Slice[]).filter((agent) => agent.type?.coding?.[0]?.code === code)
const entitiesOf = (event: Record<string, unknown>, type: string) =>
  (event.entity as Slice[]).filter((entity) => entity.type?.code === type)

/** What the profiles of IHE BALP 1.1.3 say of each slice: which DICOM role the client and the server have. */
const ROLES = {
  Create: { client: '110153', server: '110152', action: 'C' },
  Read: { client: '110152', server: '110153', action: 'R' },
  Update: { client: '110153', server: '110152', action: 'U' },
  Delete: { client: '110153', server: '110152', action: 'D' },
  Query: { client: '110153', server: '110152', action: 'E' },
} as const

describe.each([
  ['TRANSACTION_DECIDED', 'Create'],
  ['PHI_ACCESS', 'Read'],
  ['APPROVAL_GRANTED', 'Update'],
  ['PATIENT_ERASED', 'Delete'],
  ['AUDIT_READ', 'Query'],
] as const)('%s is a basic %s', (action, name) => {
  const details = name === 'Query' ? { details: { filters: { actor: 'x' } } } : {}
  test.each([
    ['without a patient', {}, `IHE.BasicAudit.${name}`],
    ['with a patient', { patient_ref: '1:abc' }, `IHE.BasicAudit.Patient${name}`],
  ])('%s', (_case, more, profile) => {
    const event = toAuditEvent(entryOf(action, { ...more, ...details }))
    expect(validateFhir(event)).toEqual([])
    expect(event.meta).toEqual({
      profile: [`https://profiles.ihe.net/ITI/BALP/StructureDefinition/${profile}`],
    })
    expect(event).toMatchObject({ action: ROLES[name].action, outcome: '0', type: { code: 'rest' } })
    for (const role of [ROLES[name].client, ROLES[name].server]) {
      const [agent, ...others] = agentsOf(event, role)
      expect(others).toEqual([])
      expect(agent).toMatchObject({ who: expect.any(Object), network: expect.any(Object) })
    }
    const user = [...agentsOf(event, 'IRCP'), ...agentsOf(event, 'AUT')]
    expect(user).toMatchObject([{ requestor: true }])
    expect(user[0]?.network).toBeUndefined()
    const [object, ...more2] = entitiesOf(event, '2')
    expect(more2).toEqual([])
    expect(object?.role?.code).toBe(name === 'Query' ? '24' : '4')
    expect(Boolean(object?.query)).toBe(name === 'Query')
    expect(Boolean(object?.what)).toBe(name !== 'Query')
    expect(entitiesOf(event, '1')).toHaveLength('patient_ref' in more ? 1 : 0)
    expect(entitiesOf(event, 'XrequestId')).toHaveLength(1)
  })
})

test('a disclosure is a privacy disclosure at its source', () => {
  const event = toAuditEvent(entryOf('PHI_DISCLOSED', { patient_ref: '1:abc', purpose_of_use: 'PUBHLTH' }))
  expect(validateFhir(event)).toEqual([])
  expect(event).toMatchObject({
    meta: { profile: [expect.stringMatching(/PrivacyDisclosure\.Source$/)] },
    ...{ type: { code: '110106' }, action: 'R' },
    purposeOfEvent: [{ coding: [{ code: 'PUBHLTH' }] }],
  })
  expect((event.subtype as { code: string }[])[0]?.code).toBe('disclose')
  // BALP val-audit-source: the source agent is who observed it.
  expect(agentsOf(event, '110153')[0]?.who).toEqual((event.source as { observer: object }).observer)
})

test.each(['failure', 'denied'])('a %s claims no profile of successes', (outcome) => {
  const event = toAuditEvent(entryOf('PHI_ACCESS', { outcome, patient_ref: '1:abc' }))
  expect(validateFhir(event)).toEqual([])
  expect(event.meta).toBeUndefined()
  expect(event.outcome).toBe(outcome === 'denied' ? '4' : '8')
})

test('an action that nobody listed is still an event', () => {
  expect(validateFhir(toAuditEvent(entryOf('NEVER_HEARD_OF', { log_index: null })))).toEqual([])
  expect(kindOf('NEVER_HEARD_OF').action).toBe('E')
})

test.each([
  ['2026-01-02', '2026-01-02T00:00:00.000Z', '2026-01-03T00:00:00.000Z'],
  ['ge2026-01-02', '2026-01-02T00:00:00.000Z', undefined],
  ['gt2026-01-02', '2026-01-03T00:00:00.000Z', undefined],
  ['lt2026-01-02T03:04:05+01:00', undefined, '2026-01-02T02:04:05.000Z'],
  ['le2026-01-02', undefined, '2026-01-03T00:00:00.000Z'],
])('date=%s', (parameter, from, to) => {
  expect(rangeOf(parameter)).toEqual({ ...(from ? { from } : {}), ...(to ? { to } : {}) })
})
