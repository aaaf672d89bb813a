import type { Resource } from './audit-event.js'

const parameter = (name: string, type: string, documentation: string) => ({ name, type, documentation })

/** What the FHIR door of the compliance service can do. */
export const CAPABILITIES: Resource = {
  resourceType: 'CapabilityStatement',
  status: 'active',
  date: '2026-11-24',
  kind: 'instance',
  implementation: { description: 'Vigil compliance: the audit trail' },
  fhirVersion: '4.0.1',
  format: ['application/fhir+json'],
  implementationGuide: ['https://profiles.ihe.net/ITI/BALP/ImplementationGuide/ihe.iti.balp'],
  rest: [
    {
      mode: 'server',
      security: { description: 'OAuth 2.0 bearer token with the scope audit:read' },
      resource: [
        {
          type: 'AuditEvent',
          interaction: [{ code: 'read' }, { code: 'search-type' }],
          searchParam: [
            parameter('date', 'date', 'With eq, ge, gt, le or lt; twice for a period'),
            parameter('agent', 'string', 'Identifier of a client or a person'),
            parameter('patient', 'string', "The patient's own identifier, or the keyed hash of the events"),
            parameter('action', 'token', 'C, R, U, D or E'),
            parameter('outcome', 'token', '0 success, 4 denied, 8 failure'),
            parameter('subtype', 'token', 'urn:vigil:audit-action|CODE'),
          ],
        },
      ],
    },
  ],
}
