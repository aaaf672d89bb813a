import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { ROLES } from '#libs/auth'
import {
  AdministrationError,
  disablePerson,
  registerPerson,
  resetPassword,
  resetSecondFactor,
} from '../apps/compliance/src/identity/administration.js'
import { newPassword, PASSWORD_LENGTH } from '../apps/compliance/src/identity/passwords.js'
import { administer, conclude } from './identity/session.js'

const USAGE = `npm run users -- list
npm run users -- add EMAIL --name NAME --role ROLE [--role ROLE]... [--tenant default] [--password-stdin]
npm run users -- disable EMAIL
npm run users -- reset-password EMAIL [--password-stdin]
npm run users -- reset-totp EMAIL             removes a second factor that was lost
Roles: ${ROLES.join(', ')}. A password that is not given is made up and printed once.
Into IDENTITY_DATABASE_URL, or the running Vigil of DATA_DIR (.data). Exit code: 0 done, 1 not.`

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    name: { type: 'string' },
    role: { type: 'string', multiple: true, default: [] },
    tenant: { type: 'string', default: 'default' },
    'password-stdin': { type: 'boolean', default: false },
  },
})

/** Never from the command line, which everybody on the machine can read. */
function password(): { text: string; given: boolean } {
  if (!values['password-stdin']) return { text: newPassword(), given: false }
  const text = readFileSync(0, 'utf8').replace(/\r?\n$/, '')
  if (text.length < PASSWORD_LENGTH.min || text.length > PASSWORD_LENGTH.max)
    throw new AdministrationError(
      `A password has ${PASSWORD_LENGTH.min} to ${PASSWORD_LENGTH.max} characters`,
    )
  return { text, given: true }
}

const show = ({ text, given }: { text: string; given: boolean }) => {
  if (!given) console.log(`password  ${text}`)
}

async function add(email: string): Promise<void> {
  const { name, role: roles, tenant } = values
  const unknown = roles.filter((role) => !(ROLES as readonly string[]).includes(role))
  if (!name || roles.length === 0 || unknown.length > 0 || !/^[^@\s]+@[^@\s]+$/.test(email))
    throw new AdministrationError(USAGE)
  const secret = password()
  await administer('users', (database, operator) =>
    registerPerson(database, operator, { name, email, roles, tenant, password: secret.text }),
  )
  show(secret)
}

async function list(): Promise<void> {
  const { rows } = await administer('users', (database) =>
    database.query(`
      SELECT email, name, tenant, array_to_string(roles, ' ') AS roles,
        CASE WHEN totp_sealed IS NULL THEN 'none' ELSE 'set up' END AS second_factor,
        coalesce(to_char(disabled_at, 'YYYY-MM-DD'), '') AS disabled
      FROM identity.person ORDER BY email`),
  )
  console.table(rows)
}

const commands: Record<string, (email: string) => Promise<void>> = {
  add,
  disable: (email) => administer('users', (database, operator) => disablePerson(database, operator, email)),
  'reset-password': async (email) => {
    const secret = password()
    await administer('users', (database, operator) => resetPassword(database, operator, email, secret.text))
    show(secret)
  },
  'reset-totp': (email) =>
    administer('users', (database, operator) => resetSecondFactor(database, operator, email)),
}

async function main(): Promise<void> {
  const [command = '', email] = positionals
  if (command === 'list') return list()
  if (!email || !Object.hasOwn(commands, command)) throw new AdministrationError(USAGE)
  return commands[command]!(email)
}

conclude(main())
