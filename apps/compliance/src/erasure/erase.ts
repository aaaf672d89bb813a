import type { PoolClient } from 'pg'
import { appendAudit } from '#libs/audit'
import { correlation } from '#libs/platform'
import type { Act } from '../compliance.js'

/** A patient as the keys know them; undefined where nothing was ever sealed for them. */
export interface Subject {
  patientRef: string
  /** Keys that still open something. */
  live: number
  destroyedAt: Date | null
}

export async function findSubject(
  client: PoolClient,
  tenant: string,
  refs: readonly string[],
): Promise<Subject | undefined> {
  const { rows } = await client.query<Subject>(
    `SELECT subject AS "patientRef", live::int AS live, destroyed_at AS "destroyedAt"
     FROM keys.subject_state($1, $2)`,
    [tenant, refs],
  )
  return rows[0]
}

interface Destroyed {
  data_keys: number
  files: number
  images: number
}

/** Erases a patient that two persons agree to erase; the database consumes the approval and looks for legal holds. */
export const erasePatient: Act = async (client, _compliance, caller, { id: approval, subject }) => {
  const { tenant } = caller
  const { rows } = await client.query<Destroyed>(
    `SELECT data_keys::int AS data_keys, files::int AS files, images::int AS images
     FROM keys.destroy_subject($1, $2, $3)`,
    [tenant, subject, approval],
  )
  await appendAudit(client, {
    tenant,
    service: 'compliance',
    actor: caller.actor(),
    action: 'PATIENT_ERASED',
    outcome: 'success',
    subject: { type: 'patient', id: subject },
    patientRef: subject,
    correlationId: correlation().correlationId,
    details: { approval, destroyed: { ...rows[0]! } },
  })
}
