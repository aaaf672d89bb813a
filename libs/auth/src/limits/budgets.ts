import { z } from 'zod'

/** Requests a minute, for each client; `token` and `anonymous` for each address. */
export const DEFAULT_BUDGETS = {
  transactions: 600_000,
  predict: 1_000,
  images: 500,
  token: 60,
  default: 12_000,
  anonymous: 6_000,
} as const
export type BudgetName = keyof typeof DEFAULT_BUDGETS
export type Budgets = Record<BudgetName, number>

const names = Object.keys(DEFAULT_BUDGETS) as BudgetName[]

const Overrides = z
  .partialRecord(z.enum(names), z.int().min(1).max(100_000_000))
  .transform((changed): Budgets => ({ ...DEFAULT_BUDGETS, ...changed }))

/** Budgets as JSON in a setting; those that it does not name keep their default. */
export const RateLimits = z
  .string()
  .transform((text, context) => {
    try {
      return JSON.parse(text) as unknown
    } catch {
      context.addIssue({ code: 'custom', message: 'must be a JSON object of budgets' })
      return z.NEVER
    }
  })
  .pipe(Overrides)
  .default({ ...DEFAULT_BUDGETS })

const BUDGET_OF_ROUTE: Record<string, BudgetName> = {
  'POST /api/v1/transactions': 'transactions',
  'POST /api/v1/transactions/batch': 'transactions',
  'POST /api/v1/predict': 'predict',
  'POST /api/v1/images': 'images',
  'POST /dicomweb/studies': 'images',
  'POST /dicomweb/studies/:study': 'images',
  'POST /auth/token': 'token',
  'POST /auth/interaction/:uid': 'token',
}

/** The budget that a request of a route is charged to; `route` as it was declared (`/api/v1/images/:id`). */
export const budgetOf = (method: string, route: string, isKnown: boolean): BudgetName => {
  const named = BUDGET_OF_ROUTE[`${method} ${route}`]
  if (named === 'token') return named
  return isKnown ? (named ?? 'default') : 'anonymous'
}
