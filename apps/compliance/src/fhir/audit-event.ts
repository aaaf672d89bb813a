import type { TrailEntry } from '../trail/entry.js'
import { type Coding, type EventKind, kindOf } from './balp.js'

/** A FHIR R4 resource on its way out. */
export type Resource = { resourceType: string; id?: string } & Record<string, unknown>

const DCM = 'http://dicom.nema.org/resources/ontology/DCM'
const ROLES: Record<'source' | 'destination', Coding> = {
  source: { system: DCM, code: '110153', display: 'Source Role ID' },
  destination: { system: DCM, code: '110152', display: 'Destination Role ID' },
}
const OUTCOMES = { success: '0', failure: '8', denied: '4' } as const
const ENTITY_TYPE = 'http://terminology.hl7.org/CodeSystem/audit-entity-type'
const OBJECT_ROLE = 'http://terminology.hl7.org/CodeSystem/object-role'
const ACT_REASON = 'http://terminology.hl7.org/CodeSystem/v3-ActReason'

const concept = (coding: Coding) => ({ coding: [coding] })
const identified = (system: string, value: string) => ({ identifier: { system, value } })
/** BALP wants the network of each machine, which an entry does not hold: said so, not made up. */
const UNKNOWN_NETWORK = {
  extension: [{ url: 'http://hl7.org/fhir/StructureDefinition/data-absent-reason', valueCode: 'not-asked' }],
}

function purposes(entry: TrailEntry) {
  return entry.purpose_of_use ? [concept({ system: ACT_REASON, code: entry.purpose_of_use })] : undefined
}

/** Client and server by their DICOM roles, and the person where there was one. */
function agents(entry: TrailEntry, kind: EventKind) {
  const { actor, service } = entry
  const serverRole = kind.client === 'source' ? 'destination' : 'source'
  const isPerson = actor.type === 'user'
  const client = {
    type: concept(ROLES[kind.client]),
    who: identified(`urn:vigil:${isPerson ? 'client' : actor.type}`, isPerson ? 'unknown' : actor.id),
    requestor: !isPerson,
    network: UNKNOWN_NETWORK,
  }
  const server = {
    type: concept(ROLES[serverRole]),
    who: identified('urn:vigil:service', service),
    requestor: false,
    network: UNKNOWN_NETWORK,
  }
  const role = kind.action === 'R' || kind.action === 'E' ? 'IRCP' : 'AUT'
  const user = {
    type: concept({ system: 'http://terminology.hl7.org/CodeSystem/v3-ParticipationType', code: role }),
    who: identified('urn:vigil:user', actor.id),
    requestor: true,
    ...(entry.purpose_of_use ? { purposeOfUse: purposes(entry) } : {}),
  }
  return isPerson ? [client, server, user] : [client, server]
}

const entity = (type: Coding, role: Coding, rest: object) => ({ type, role, ...rest })
const SYSTEM_OBJECT = { system: ENTITY_TYPE, code: '2', display: 'System Object' }

/** What was touched or asked for, whom it concerns, and what ties the request together. */
function entities(entry: TrailEntry, kind: EventKind) {
  const { subject, patient_ref, correlation_id, details } = entry
  const asked =
    kind.isQuery && Buffer.from(JSON.stringify(details?.filters ?? details ?? {})).toString('base64')
  const object = asked
    ? entity(SYSTEM_OBJECT, { system: OBJECT_ROLE, code: '24', display: 'Query' }, { query: asked })
    : entity(
        SYSTEM_OBJECT,
        { system: OBJECT_ROLE, code: '4', display: 'Domain Resource' },
        {
          what: subject
            ? identified(`urn:vigil:${subject.type}`, subject.id)
            : identified('urn:vigil:audit-entry', String(details?.entry ?? entry.id)),
        },
      )
  const person = entity(
    { system: ENTITY_TYPE, code: '1', display: 'Person' },
    { system: OBJECT_ROLE, code: '1', display: 'Patient' },
    { what: { ...identified('urn:vigil:patient-ref', patient_ref ?? ''), type: 'Patient' } },
  )
  const request = {
    type: { system: 'https://profiles.ihe.net/ITI/BALP/CodeSystem/BasicAuditEntityType', code: 'XrequestId' },
    what: identified('urn:vigil:correlation-id', correlation_id),
  }
  return [object, ...(patient_ref ? [person] : []), request]
}

/** The kind of event; a read of one entry is no query though both are AUDIT_READ. */
function eventKind(entry: TrailEntry): EventKind {
  return entry.action === 'AUDIT_READ' && !entry.details?.filters
    ? kindOf('AUDIT_PROVED')
    : kindOf(entry.action)
}

/** BALP profiles are of successes; a failure is a plain AuditEvent. */
function profileOf(entry: TrailEntry, kind: EventKind): string | undefined {
  if (entry.outcome !== 'success') return undefined
  return entry.patient_ref ? kind.patientProfile : kind.profile
}

/**
 * An audit entry as a FHIR R4 AuditEvent after IHE BALP. Sealed details stay where they are: the entry, which the
 * proofs are of. `log-index` is the place in the log that an inclusion proof is about.
 */
export function toAuditEvent(entry: TrailEntry): Resource {
  const kind = eventKind(entry)
  const profile = profileOf(entry, kind)
  const reasons = purposes(entry)
  return {
    resourceType: 'AuditEvent',
    id: entry.id,
    ...(profile ? { meta: { profile: [profile] } } : {}),
    ...(entry.log_index === null
      ? {}
      : { extension: [{ url: 'urn:vigil:fhir:log-index', valueString: String(entry.log_index) }] }),
    type: kind.type,
    subtype: [kind.subtype, { system: 'urn:vigil:audit-action', code: entry.action }],
    action: kind.action,
    recorded: entry.recorded_at,
    outcome: OUTCOMES[entry.outcome as keyof typeof OUTCOMES] ?? '8',
    ...(reasons ? { purposeOfEvent: reasons } : {}),
    agent: agents(entry, kind),
    source: {
      site: entry.tenant,
      observer: identified('urn:vigil:service', entry.service),
      type: [
        {
          system: 'http://terminology.hl7.org/CodeSystem/security-source-type',
          code: '4',
          display: 'Application Server',
        },
      ],
    },
    entity: entities(entry, kind),
  }
}
