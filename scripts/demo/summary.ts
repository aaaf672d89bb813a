import type { Verification } from '../audit/verify-log.js'
import type { ImageFigures } from './images.js'
import type { PaymentFigures } from './payments.js'

export interface Figures {
  payments: PaymentFigures
  images: ImageFigures
  audit: Verification
}

const percent = (share: number) => `${(100 * share).toFixed(1)} %`

/** The table at the end: what was done, as name and value. */
export function summaryRows({ payments, images, audit }: Figures): [string, string][] {
  const { approve, review, decline } = payments.outcomes
  const predictions = Object.entries(images.predictions).map(([label, count]) => `${count} ${label}`)
  return [
    ['payments decided', String(payments.decided)],
    ['decisions per second', payments.perSecond.toFixed(0)],
    ['latency p50 / p99', `${payments.p50.toFixed(1)} / ${payments.p99.toFixed(1)} ms (32 at once)`],
    ['outcomes', `${approve} approve, ${review} review, ${decline} decline`],
    ['simulated frauds', `${payments.frauds}, of which ${percent(payments.recall)} were not approved`],
    ['precision', `${percent(payments.precision)} of what was not approved was fraud`],
    [
      'images',
      `${images.submitted} submitted: ${images.completed} completed, ${images.quarantined} quarantined, ${images.failed} failed`,
    ],
    ['model findings', predictions.join(', ') || 'none'],
    ['PHI after de-identification', `${images.phiFound} of ${images.phiPlanted} pieces found`],
    ['burned-in names', `blacked out in ${images.masked} of ${images.burnedIn} images`],
    [
      'audit entries verified',
      audit.ok
        ? `${audit.size}, cosigned by ${audit.witnesses.join(', ') || 'nobody'}`
        : `NONE: ${audit.failure}`,
    ],
  ]
}

/** What is wrong with the figures; nothing when all is well. */
export function complaints({ payments, images, audit }: Figures): string[] {
  const wrong: [boolean, string][] = [
    [payments.failed > 0, `${payments.failed} payments were not decided`],
    [payments.decided === 0, 'no payment was decided'],
    [payments.precision < 0.2, 'fewer than one in five of the stopped payments was a fraud'],
    [payments.recall < 0.3, 'fewer than a third of the frauds were stopped'],
    [images.failed > 0, `${images.failed} images failed`],
    [images.completed === 0, 'no image was completed'],
    [
      images.masked < images.burnedIn,
      `${images.burnedIn - images.masked} burned-in names were not blacked out`,
    ],
    [images.phiFound > 0, `${images.phiFound} pieces of identity were left in images`],
    [!audit.ok, 'the audit log does not verify'],
    [audit.ok && audit.witnesses.length === 0, 'no witness cosigned the audit log'],
    [audit.ok && audit.size < payments.decided + images.submitted, 'there are fewer audit entries than acts'],
  ]
  return wrong.filter(([is]) => is).map(([, text]) => text)
}
