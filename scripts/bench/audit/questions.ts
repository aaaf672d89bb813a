import type { Sought } from '../../../apps/compliance/src/trail/query.js'
import { RARE } from './fill.js'

/** What an officer may ask of a filled trail, each filter alone and the combinations that hurt a naive index. */
export function questionsOf(patientRef: string): { name: string; sought: Sought }[] {
  const day = (ago: number) => new Date(Date.now() - ago * 86_400_000).toISOString()
  const common = { action: 'TRANSACTION_DECIDED' }
  return [
    { name: 'no filter', sought: {} },
    { name: 'actor, common', sought: { actor: 'payments' } },
    { name: 'actor, rare', sought: { actor: RARE.actor } },
    { name: 'action, common', sought: common },
    { name: 'action, rare', sought: { action: 'TOKEN_ISSUED' } },
    { name: 'subject', sought: { subject: RARE.subject } },
    { name: 'patient with 3 entries', sought: { patientRef } },
    { name: 'correlation_id', sought: { correlation_id: RARE.correlation } },
    { name: 'outcome=denied', sought: { outcome: 'denied' } },
    { name: 'outcome=success', sought: { outcome: 'success' } },
    { name: 'service, common', sought: { service: 'fraud' } },
    { name: 'service, rare', sought: { service: 'compliance' } },
    { name: 'from and to', sought: { from: day(45), to: day(44) } },
    { name: 'rare actor + common action', sought: { actor: RARE.actor, ...common } },
    { name: 'common action + outcome=denied (none)', sought: { ...common, outcome: 'denied' } },
    { name: 'common action + outcome=failure', sought: { ...common, outcome: 'failure' } },
    { name: 'common actor + another service (none)', sought: { actor: 'payments', service: 'imaging' } },
    {
      name: 'actor + action + outcome + service',
      sought: { actor: 'payments', ...common, outcome: 'failure', service: 'fraud' },
    },
    { name: 'service + outcome=denied', sought: { service: 'fraud', outcome: 'denied' } },
    { name: 'patient + common outcome', sought: { patientRef, outcome: 'success' } },
    { name: 'patient + action it has not', sought: { patientRef, ...common } },
    { name: 'narrow window + common action', sought: { ...common, from: day(30.01), to: day(30) } },
    { name: 'old window + rare actor', sought: { actor: RARE.actor, from: day(80), to: day(60) } },
    { name: 'an actor that is not there', sought: { actor: 'nobody' } },
    { name: 'an action that is not there', sought: { action: 'NEVER_DONE', outcome: 'success' } },
    { name: 'a patient that is not there', sought: { patientRef: '1:absent', service: 'imaging' } },
    {
      name: 'every filter at once',
      sought: {
        ...{ actor: 'user-10', action: 'AI_ANALYSIS_REQUEST', subject: 'image-109', patientRef },
        ...{ correlation_id: '00000000-0000-4000-8000-000000000109', outcome: 'success', service: 'imaging' },
        ...{ from: day(365), to: day(0) },
      },
    },
  ]
}
