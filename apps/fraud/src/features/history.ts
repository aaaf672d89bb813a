import type { Transaction } from '../transactions/transaction.js'
import {
  type AccountState,
  accountRecord,
  accountWindows,
  appended,
  compacted,
  emptyAccount,
  isLong,
} from './account.js'
import { type Facts, factsOf, shortHash } from './facts.js'
import { emptyTile, folded, isWide, type Tile, tileTotals, tileWith } from './tile.js'
import { emptyTruth, type Label, relabelled, type TruthState, truthAt } from './truth.js'
import type { Totals, Windows } from './windows.js'

const KINDS = ['account', 'merchant', 'cell', 'method'] as const
type Kind = (typeof KINDS)[number]

/** The windows of payments in memory, by the arithmetic that the service uses: what training sets are made with. */
export class History {
  private readonly accounts = new Map<string, AccountState>()
  private readonly tiles = new Map<string, Tile>()
  private readonly truths = new Map<string, TruthState>()

  /** Adds a payment that was decided, and returns how to label it. */
  add(transaction: Transaction): (fraud: boolean, at: number) => void {
    const facts = factsOf(transaction)
    const account = appended(this.accounts.get(facts.account) ?? emptyAccount(), accountRecord(facts))
    this.accounts.set(facts.account, isLong(account) ? compacted(account) : account)
    for (const kind of ['merchant', 'cell', 'method'] as const) this.count(kind, facts)
    let timeline: Label[] = []
    return (fraud, at) => {
      const before = timeline
      timeline = [...timeline, { fraud, at }]
      const payment = { tx: shortHash(transaction.transaction_id), event: facts.at }
      for (const kind of KINDS) {
        const key = keyOf(kind, facts)
        const state = this.truths.get(key) ?? emptyTruth()
        this.truths.set(key, relabelled(state, [{ payment, before, after: timeline }]))
      }
    }
  }

  /** The windows of a payment that is not added yet. */
  windowsOf(transaction: Transaction): Windows {
    const facts = factsOf(transaction)
    const truth = (kind: Kind) => truthAt(this.truths.get(keyOf(kind, facts)) ?? emptyTruth(), facts.at)
    return {
      account: accountWindows(this.accounts.get(facts.account) ?? emptyAccount(), facts),
      merchant: this.totals('merchant', facts),
      place: this.totals('cell', facts),
      method: this.totals('method', facts),
      truth: {
        account: truth('account'),
        merchant: truth('merchant'),
        place: truth('cell'),
        method: truth('method'),
      },
    }
  }

  private count(kind: Kind, facts: Facts): void {
    const tile = this.tiles.get(keyOf(kind, facts)) ?? emptyTile()
    const next = { ...tile, recent: tileWith(tile.recent, facts) }
    this.tiles.set(keyOf(kind, facts), isWide(next.recent) ? folded(next) : next)
  }

  private totals(kind: Kind, facts: Facts): Totals[] {
    const { recent, past } = this.tiles.get(keyOf(kind, facts)) ?? emptyTile()
    return tileTotals([recent, past], facts)
  }
}

const keyOf = (kind: Kind, facts: Facts): string => `${kind} ${facts[kind]}`
