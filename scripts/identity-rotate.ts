import { parseArgs } from 'node:util'
import { z } from 'zod'
import { KeySettings, openProvider } from '#libs/crypto'
import { readConfig } from '#libs/platform'
import { AdministrationError } from '../apps/compliance/src/identity/administration.js'
import { KEY_LEAD_SECONDS } from '../apps/compliance/src/identity/identity.js'
import { retireSigningKey, rotateSigningKey } from '../apps/compliance/src/identity/signing-keys.js'
import { administer, conclude, seconds } from './identity/session.js'

const USAGE = `npm run identity:rotate -- [--lead 10m]      a new token signing key: published at once, signs after the lead
npm run identity:rotate -- --retire KID      for a key that got out: its tokens stop working at once (a new key signs first)
In IDENTITY_DATABASE_URL, or the running Vigil of DATA_DIR (.data).`

const Settings = KeySettings.extend({ DATA_DIR: z.string().default('.data') })

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      lead: { type: 'string', default: `${KEY_LEAD_SECONDS}s` },
      retire: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) throw new AdministrationError(USAGE)
  const provider = await openProvider(readConfig(Settings, process.env))
  const lead = values.retire ? 0 : seconds(values.lead)
  const kid = await administer('identity:rotate', async (database, { command, account }) => {
    const actor = { id: command, operator: account }
    const successor = await rotateSigningKey(database, provider, lead, actor)
    if (values.retire && !(await retireSigningKey(database, values.retire, actor)))
      throw new AdministrationError(`There is no key ${values.retire}`)
    return successor
  })
  console.log(`${kid}  signs ${lead === 0 ? 'now' : `in ${lead} s`}`)
}

conclude(main())
