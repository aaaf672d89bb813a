const BALP = 'https://profiles.ihe.net/ITI/BALP/StructureDefinition'

export interface Coding {
  system: string
  code: string
  display?: string
}

/** What kind of event an action is: FHIR type and subtype, CRUDE code, and the IHE BALP profiles that it follows. */
export interface EventKind {
  type: Coding
  subtype: Coding
  action: 'C' | 'R' | 'U' | 'D' | 'E'
  /** Role of the client in the flow of data: DICOM source (it sends) or destination (it receives). */
  client: 'source' | 'destination'
  /** Profile of a success without a patient, and with one; absent where BALP has none for it. */
  profile?: string
  patientProfile?: string
  /** The object is what was asked, not what was touched. */
  isQuery?: true
}

const DCM = 'http://dicom.nema.org/resources/ontology/DCM'
const REST = {
  system: 'http://terminology.hl7.org/CodeSystem/audit-event-type',
  code: 'rest',
  display: 'Restful Operation',
}
const interaction = (code: string): Coding => ({
  system: 'http://hl7.org/fhir/restful-interaction',
  code,
  display: code,
})

const basic = (name: string) => ({
  profile: `${BALP}/IHE.BasicAudit.${name}`,
  patientProfile: `${BALP}/IHE.BasicAudit.Patient${name}`,
})
const create: EventKind = {
  ...{ type: REST, subtype: interaction('create'), action: 'C', client: 'source' },
  ...basic('Create'),
}
const read: EventKind = {
  ...{ type: REST, subtype: interaction('read'), action: 'R', client: 'destination' },
  ...basic('Read'),
}
const update: EventKind = {
  ...{ type: REST, subtype: interaction('update'), action: 'U', client: 'source' },
  ...basic('Update'),
}
const remove: EventKind = {
  ...{ type: REST, subtype: interaction('delete'), action: 'D', client: 'source' },
  ...basic('Delete'),
}
const query: EventKind = {
  ...{ type: REST, subtype: interaction('search'), action: 'E', client: 'source', isQuery: true },
  ...basic('Query'),
}
const disclose: EventKind = {
  type: { system: DCM, code: '110106', display: 'Export' },
  subtype: {
    system: 'http://terminology.hl7.org/CodeSystem/iso-21089-lifecycle',
    code: 'disclose',
    display: 'Disclose Record Lifecycle Event',
  },
  action: 'R',
  client: 'destination',
  patientProfile: `${BALP}/IHE.BasicAudit.PrivacyDisclosure.Source`,
}
const exported: EventKind = {
  ...{ type: { system: DCM, code: '110106', display: 'Export' }, subtype: interaction('operation') },
  ...{ action: 'R', client: 'destination' },
}
const imported: EventKind = {
  ...{ type: { system: DCM, code: '110107', display: 'Import' }, subtype: interaction('batch') },
  ...{ action: 'C', client: 'source' },
}
/** IHE ITI-71. Its profile wants the raw request, which is not kept: the event follows its codes without claiming it. */
const token: EventKind = {
  type: { system: DCM, code: '110114', display: 'User Authentication' },
  subtype: { system: 'urn:ihe:event-type-code', code: 'ITI-71', display: 'Get Access Token' },
  ...{ action: 'E', client: 'source' },
}
const operation: EventKind = {
  ...{ type: REST, subtype: interaction('operation'), action: 'E', client: 'source' },
}

const login: EventKind = {
  type: { system: DCM, code: '110114', display: 'User Authentication' },
  subtype: { system: DCM, code: '110122', display: 'Login' },
  ...{ action: 'E', client: 'source' },
}
/** DICOM Security Alert: somebody came to a closed door. */
const denied: EventKind = {
  type: { system: DCM, code: '110113', display: 'Security Alert' },
  ...{ subtype: interaction('operation'), action: 'E', client: 'source' },
}

/** Every action of Vigil, as FHIR and BALP see it. What is not listed is an operation. */
const KINDS: Readonly<Record<string, EventKind>> = {
  TRANSACTION_DECIDED: create,
  TRANSACTION_LABELLED: create,
  HISTORY_IMPORTED: imported,
  AI_ANALYSIS_REQUEST: create,
  AI_ANALYSIS_SUCCESS: update,
  AI_ANALYSIS_ERROR: update,
  IMAGE_REJECTED: create,
  PHI_ACCESS: read,
  PHI_DISCLOSED: disclose,
  PATIENT_ERASED: remove,
  TOKEN_ISSUED: token,
  TOKEN_REFUSED: token,
  AUDIT_READ: query,
  AUDIT_PROVED: read,
  AUDIT_OPENED: read,
  AUDIT_EXPORTED: exported,
  AUDIT_EXPORT_DOWNLOADED: exported,
  AUDIT_EXPORT_DELETED: remove,
  DISCLOSURES_REPORTED: query,
  APPROVAL_REQUESTED: create,
  APPROVAL_GRANTED: update,
  APPROVAL_REJECTED: update,
  ACCESS_DENIED: denied,
  API_KEY_ADDED: create,
  API_KEY_REVOKED: remove,
  API_KEY_ROTATED: update,
  CLIENT_ADDED: create,
  CLIENT_REVOKED: remove,
  CLIENT_SECRET_ROTATED: update,
  CONSENT_DENIED: login,
  CONSENT_GIVEN: login,
  LOGIN_FAILED: login,
  LOGIN_SUCCEEDED: login,
  SECOND_FACTOR_ENROLLED: update,
  SIGNING_KEY_ADDED: create,
  SIGNING_KEY_RETIRED: update,
  USER_ADDED: create,
  USER_DISABLED: update,
  USER_PASSWORD_RESET: update,
  USER_SECOND_FACTOR_RESET: update,
  AUDIT_LOG_RENAMED: update,
  BREAK_GLASS_EXAMINED: read,
  BREAK_GLASS_GRANTED: create,
  BREAK_GLASS_LISTED: query,
  BREAK_GLASS_READ: read,
  BREAK_GLASS_REVIEWED: update,
  ERASURE_READ: read,
  KEY_ROTATION_FINISHED: update,
  KEY_ROTATION_STARTED: create,
  LEGAL_HOLD_PLACED: create,
  LEGAL_HOLD_RELEASED: update,
  RETENTION_DROPPED: remove,
}

export const kindOf = (action: string): EventKind => KINDS[action] ?? operation

/** Actions of one CRUDE code, for searches by it. */
export const actionsOf = (code: string): string[] =>
  Object.entries(KINDS)
    .filter(([, kind]) => kind.action === code)
    .map(([action]) => action)
