import type Provider from 'oidc-provider'
import type { Interaction } from 'oidc-provider'
import type pg from 'pg'
import { appendAudit } from '#libs/audit'
import { correlation, inTransaction } from '#libs/platform'
import { findPerson } from './people.js'

interface Missing {
  missingOIDCScope?: string[]
  missingResourceScopes?: Record<string, string[]>
}

/** Keeps what a person allowed an application, and writes it down; undefined where they denied it. */
export async function recordConsent(
  pool: pg.Pool,
  provider: Provider,
  interaction: Interaction,
  allowed: boolean,
): Promise<string | undefined> {
  const accountId = interaction.session?.accountId
  const clientId = String(interaction.params.client_id)
  if (!accountId) throw new Error('consent without a session')
  const { missingOIDCScope, missingResourceScopes = {} } = interaction.prompt.details as Missing
  const person = await findPerson(pool, accountId)
  await inTransaction(pool, (client) =>
    appendAudit(client, {
      tenant: person?.tenant ?? 'default',
      service: 'compliance',
      actor: { type: 'user', id: accountId },
      action: allowed ? 'CONSENT_GIVEN' : 'CONSENT_DENIED',
      outcome: allowed ? 'success' : 'denied',
      subject: { type: 'client', id: clientId },
      correlationId: correlation().correlationId,
      details: {
        scope: [...(missingOIDCScope ?? []), ...Object.values(missingResourceScopes).flat()].join(' '),
      },
    }),
  )
  if (!allowed) return undefined
  const known = interaction.grantId ? await provider.Grant.find(interaction.grantId) : undefined
  const grant = known ?? new provider.Grant({ accountId, clientId })
  if (missingOIDCScope) grant.addOIDCScope(missingOIDCScope.join(' '))
  for (const [resource, scopes] of Object.entries(missingResourceScopes))
    grant.addResourceScope(resource, scopes.join(' '))
  return grant.save()
}
