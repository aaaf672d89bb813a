import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { ROLES } from '#libs/auth'
import {
  AdministrationError,
  disablePerson,
  registerPerson,
  resetPassword,
  resetSecondFactor,
} from '../../apps/compliance/src/identity/administration.js'
import { newPassword, PASSWORD_LENGTH } from '../../apps/compliance/src/identity/passwords.js'
import { type Session, tableOf } from './session.js'

const USAGE = `npm run users -- list
npm run users -- add EMAIL --name NAME --role ROLE [--role ROLE]... [--tenant default] [--password-stdin]
npm run users -- disable EMAIL
npm run users -- reset-password EMAIL [--password-stdin]
npm run users -- reset-totp EMAIL             removes a second factor that was lost
Roles: ${ROLES.join(', ')}. A password that is not given is made up and printed once.
Into IDENTITY_DATABASE_URL, or the running Vigil of DATA_DIR (.data). Exit code: 0 done, 1 not.`

const OPTIONS = {
  name: { type: 'string' },
  role: { type: 'string', multiple: true, default: [] as string[] },
  tenant: { type: 'string', default: 'default' },
  'password-stdin': { type: 'boolean', default: false },
} as const

const read = (args: string[]) => parseArgs({ args, allowPositionals: true, options: OPTIONS })
type Values = ReturnType<typeof read>['values']
type Act = (email: string, values: Values, session: Session) => Promise<void>

interface Password {
  text: string
  made: boolean
}

/** Never from the command line, which everybody on the machine can read. */
function passwordFor(values: Values): Password {
  if (!values['password-stdin']) return { text: newPassword(), made: true }
  const text = readFileSync(0, 'utf8').replace(/\r?\n$/, '')
  if (text.length < PASSWORD_LENGTH.min || text.length > PASSWORD_LENGTH.max)
    throw new AdministrationError(
      `A password has ${PASSWORD_LENGTH.min} to ${PASSWORD_LENGTH.max} characters`,
    )
  return { text, made: false }
}

const show = ({ text, made }: Password, { print }: Session) => {
  if (made) print(`password  ${text}`)
}

const add: Act = async (email, values, session) => {
  const { name, role: roles, tenant } = values
  const unknown = roles.filter((role) => !(ROLES as readonly string[]).includes(role))
  if (!name || roles.length === 0 || unknown.length > 0 || !/^[^@\s]+@[^@\s]+$/.test(email))
    throw new AdministrationError(USAGE)
  const password = passwordFor(values)
  await session.administer((database, operator) =>
    registerPerson(database, operator, { name, email, roles, tenant, password: password.text }),
  )
  show(password, session)
}

const LIST = `
  SELECT email, name, tenant, array_to_string(roles, ' ') AS roles,
    CASE WHEN totp_sealed IS NULL THEN 'none' ELSE 'set up' END AS second_factor,
    coalesce(to_char(disabled_at, 'YYYY-MM-DD'), '') AS disabled
  FROM identity.person ORDER BY email`

const acts: Record<string, Act> = {
  add,
  disable: (email, _values, { administer }) =>
    administer((database, operator) => disablePerson(database, operator, email)),
  'reset-password': async (email, values, session) => {
    const password = passwordFor(values)
    await session.administer((database, operator) => resetPassword(database, operator, email, password.text))
    show(password, session)
  },
  'reset-totp': (email, _values, { administer }) =>
    administer((database, operator) => resetSecondFactor(database, operator, email)),
}

/** `npm run users`: what is in the arguments after it. */
export async function users(args: string[], session: Session): Promise<void> {
  const { values, positionals } = read(args)
  const [name = '', email] = positionals
  if (name === 'list') {
    const { rows } = await session.administer((database) => database.query<Record<string, unknown>>(LIST))
    for (const line of tableOf(rows)) session.print(line)
    return
  }
  if (!email || !Object.hasOwn(acts, name)) throw new AdministrationError(USAGE)
  return acts[name]!(email, values, session)
}
