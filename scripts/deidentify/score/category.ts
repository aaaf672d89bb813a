/** Right and required actions of one category. */
export interface Score {
  category: string
  right: number
  total: number
  /** Places of the first few that went wrong; never a value. */
  failed: string[]
}

/** A scorer plants identities in instances of its own and says how many were dealt with. */
export type Scorer = (instances: number) => Promise<Score[]> | Score[]
