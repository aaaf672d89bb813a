import type { ClientBase, Pool } from 'pg'
import { subjectRef } from '#libs/crypto'
import type { Compliance } from './compliance.js'

const KEYED_HASH = /^\d+:[A-Za-z0-9_-]{22}$/

/** A patient's keyed hash: from the patient's own identifier, or given as the trail shows it. */
export const patientRefOf = async (
  database: Pick<ClientBase | Pool, 'query'>,
  { patientIndex }: Compliance,
  tenant: string,
  id: string,
): Promise<string> =>
  KEYED_HASH.test(id) ? id : subjectRef(database, patientIndex, { column: 'patient', tenant, value: id })
