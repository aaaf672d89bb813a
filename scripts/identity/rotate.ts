import { parseArgs } from 'node:util'
import { z } from 'zod'
import { KeySettings, openProvider } from '#libs/crypto'
import { readConfig } from '#libs/platform'
import { AdministrationError } from '../../apps/compliance/src/identity/administration.js'
import { KEY_LEAD_SECONDS } from '../../apps/compliance/src/identity/identity.js'
import { retireSigningKey, rotateSigningKey } from '../../apps/compliance/src/identity/signing-keys.js'
import { type Session, seconds } from './session.js'

const USAGE = `npm run identity:rotate -- [--lead 10m]      a new token signing key: published at once, signs after the lead
npm run identity:rotate -- --retire KID      for a key that got out: its tokens stop working at once (a new key signs first)
In IDENTITY_DATABASE_URL, or the running Vigil of DATA_DIR (.data).`

const Settings = KeySettings.extend({ DATA_DIR: z.string().default('.data') })

const OPTIONS = {
  lead: { type: 'string', default: `${KEY_LEAD_SECONDS}s` },
  retire: { type: 'string' },
  help: { type: 'boolean', default: false },
} as const

/** `npm run identity:rotate`: what is in the arguments after it. */
export async function rotate(args: string[], { administer, print, env }: Session): Promise<void> {
  const { values } = parseArgs({ args, options: OPTIONS })
  if (values.help) throw new AdministrationError(USAGE)
  const provider = await openProvider(readConfig(Settings, env))
  const lead = values.retire ? 0 : seconds(values.lead)
  const kid = await administer(async (database, { command, account }) => {
    const actor = { id: command, operator: account }
    const successor = await rotateSigningKey(database, provider, lead, actor)
    if (values.retire && !(await retireSigningKey(database, values.retire, actor)))
      throw new AdministrationError(`There is no key ${values.retire}`)
    return successor
  })
  provider.close?.()
  print(`${kid}  signs ${lead === 0 ? 'now' : `in ${lead} s`}`)
}
