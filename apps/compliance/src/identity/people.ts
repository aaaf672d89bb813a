import type { ClientBase, Pool } from 'pg'
import type { Role } from '#libs/auth'

/** Somebody who signs in. */
export interface Person {
  id: string
  tenant: string
  name: string
  email: string
  roles: Role[]
  passwordHash: string
  /** Sealed secret of the second factor; absent until one is set up. */
  totpSealed: Buffer | null
}

export interface NewPerson {
  id: string
  tenant?: string
  name: string
  email: string
  roles: string[]
  passwordHash: string
}

const COLUMNS = `id, tenant, name, email, roles, password_hash AS "passwordHash", totp_sealed AS "totpSealed"`

/** How addresses are compared: RFC 5321 lets the local part differ by case, nobody's mailbox does. */
export const normalEmail = (email: string): string => email.trim().toLowerCase()

export async function findPerson(database: Pool | ClientBase, id: string): Promise<Person | undefined> {
  const { rows } = await database.query<Person>(
    `SELECT ${COLUMNS} FROM identity.person WHERE id::text = $1 AND disabled_at IS NULL`,
    [id],
  )
  return rows[0]
}

export async function findPersonByEmail(
  database: Pool | ClientBase,
  email: string,
): Promise<Person | undefined> {
  const { rows } = await database.query<Person>(
    `SELECT ${COLUMNS} FROM identity.person WHERE email = $1 AND disabled_at IS NULL`,
    [normalEmail(email)],
  )
  return rows[0]
}

/** Adds a person in the caller's transaction; false where the address is taken. */
export async function addPerson(database: ClientBase, person: NewPerson): Promise<boolean> {
  const { rowCount } = await database.query(
    `INSERT INTO identity.person (id, tenant, name, email, password_hash, roles)
     VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (email) DO NOTHING`,
    [
      person.id,
      person.tenant ?? 'default',
      person.name,
      normalEmail(person.email),
      person.passwordHash,
      person.roles,
    ],
  )
  return rowCount === 1
}
