import { z } from 'zod'
import type { PurposeOfUse } from '#libs/audit'
import { instant } from '../fields.js'

/** A disclosure that was made outside of Vigil: on paper, by telephone, through another system. */
export const NewDisclosure = z
  .strictObject({
    recipient: z.strictObject({
      name: z.string().trim().min(1).max(200),
      address: z.string().trim().min(1).max(500).optional(),
    }),
    /** What was disclosed, in a few words. */
    description: z.string().trim().min(1).max(1000),
    /** When; now where it is left out. */
    disclosed_at: instant.optional(),
  })
  .meta({ id: 'NewDisclosure' })
export type NewDisclosure = z.infer<typeof NewDisclosure>

export const RecordedDisclosure = z
  .strictObject({ audit_entry_id: z.uuid(), patient_ref: z.string() })
  .meta({ id: 'RecordedDisclosure' })
export type RecordedDisclosure = z.infer<typeof RecordedDisclosure>

export const AccountingQuery = z
  .strictObject({ from: instant.optional(), to: instant.optional() })
  .meta({ id: 'AccountingQuery' })
export type AccountingQuery = z.infer<typeof AccountingQuery>

const Disclosure = z.strictObject({
  date: z.iso.datetime({ offset: true }),
  recipient: z.strictObject({
    /** Null where it is sealed: open it with the scope phi:reidentify and a Purpose-Of-Use, unless it was erased. */
    name: z.string().nullable(),
    address: z.string().nullable(),
  }),
  description: z.string(),
  purpose: z.strictObject({ code: z.string(), text: z.string() }),
  audit_entry_id: z.uuid(),
  correlation_id: z.uuid(),
})
export type Disclosure = z.infer<typeof Disclosure>

/** 45 CFR 164.528: to whom a patient was disclosed in six years, and what is not accounted for. */
export const Accounting = z
  .strictObject({
    patient_ref: z.string(),
    from: z.iso.datetime(),
    to: z.iso.datetime(),
    disclosures: z.array(Disclosure),
    /** What was left out, by purpose and ground. */
    excepted: z.array(
      z.strictObject({ purpose: z.string(), ground: z.string(), basis: z.string(), count: z.int() }),
    ),
    /** False where there were more than are shown: narrow the period. */
    complete: z.boolean(),
  })
  .meta({ id: 'AccountingOfDisclosures' })
export type Accounting = z.infer<typeof Accounting>

export const PURPOSE_TEXTS: Readonly<Record<PurposeOfUse, string>> = {
  TREAT: 'treatment',
  ETREAT: 'emergency treatment',
  CAREMGT: 'care management',
  HPAYMT: 'healthcare payment',
  HOPERAT: 'healthcare operations',
  HRESCH: 'healthcare research',
  PATRQT: 'request of the patient',
  PATSFTY: 'patient safety',
  PUBHLTH: 'public health',
  HLEGAL: 'legal proceedings',
  HCOMPL: 'compliance oversight',
}

interface Exception {
  ground: string
  basis: string
}
const CARE = '45 CFR 164.528(a)(1)(i)'
const treatment = { ground: 'treatment', basis: CARE }

/** Purposes that need no accounting. Every other one is accounted for, also where the rule might except it. */
const EXCEPTED: Readonly<Partial<Record<string, Exception>>> = {
  TREAT: treatment,
  ETREAT: treatment,
  CAREMGT: treatment,
  HPAYMT: { ground: 'payment', basis: CARE },
  HOPERAT: { ground: 'health care operations', basis: CARE },
  PATRQT: { ground: 'to the individual', basis: '45 CFR 164.528(a)(1)(ii)' },
}

/** A disclosure of any purpose, as the log knows it; without a purpose it is accounted for. */
export interface Candidate {
  purpose: string
}

/** Divides what was disclosed into what is accounted for and, counted by purpose, what need not be. */
export function divide<T extends Candidate>(
  all: readonly T[],
): { accounted: T[]; excepted: Accounting['excepted'] } {
  const counts = new Map<string, number>()
  const accounted: T[] = []
  for (const one of all) {
    if (EXCEPTED[one.purpose]) counts.set(one.purpose, (counts.get(one.purpose) ?? 0) + 1)
    else accounted.push(one)
  }
  const excepted = [...counts].map(([purpose, count]) => ({ purpose, ...EXCEPTED[purpose]!, count }))
  return { accounted, excepted }
}
