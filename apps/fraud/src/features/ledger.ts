import {
  type AccountState,
  accountRecord,
  accountWindows,
  appended,
  compacted,
  emptyAccount,
  isLong,
} from './account.js'
import type { Facts } from './facts.js'
import { addAll, emptyTile, folded, isWide, type Tile, tileTotals, tileWith } from './tile.js'
import { hourOf, noTotals, nothingKnown, type Totals, type Truth, type Windows } from './windows.js'

/** Whose hours a tile holds, and whose truth is known. */
export const DIMENSIONS = { account: 0, merchant: 1, place: 2, method: 3 } as const
export type Dimension = (typeof DIMENSIONS)[keyof typeof DIMENSIONS]
/** Those whose payments are counted by the hour. */
export const TILED = [DIMENSIONS.merchant, DIMENSIONS.place, DIMENSIONS.method] as const

/** A key of a dimension. */
export interface Key {
  tenant: string
  dimension: Dimension
  key: string
}

/** A payment's key in a dimension; undefined for the place of one that came without. */
export function keyOf(tenant: string, dimension: Dimension, facts: Facts): Key | undefined {
  const names = [facts.account, facts.merchant, facts.cell, facts.method]
  const key = names[dimension]
  return key === null || key === undefined ? undefined : { tenant, dimension, key }
}

/** Two parts as one name; the length keeps one tenant's name from reading as another's. */
export const nameOf = (tenant: string, id: string): string => `${tenant.length} ${tenant} ${id}`
export const nameOfKey = ({ tenant, dimension, key }: Key): string => `${dimension} ${nameOf(tenant, key)}`

/** The keys of some payments in some dimensions, each once. */
export function keysOf(
  payments: readonly { tenant: string; facts: Facts }[],
  dimensions: readonly Dimension[],
): Key[] {
  const keys = new Map<string, Key>()
  for (const { tenant, facts } of payments) {
    for (const dimension of dimensions) {
      const key = keyOf(tenant, dimension, facts)
      if (key) keys.set(nameOfKey(key), key)
    }
  }
  return [...keys.values()]
}

interface KeyTiles {
  key: Key
  own: Tile & { version: number }
  others: Buffer[]
  changed: boolean
  /** What is the same for all payments of an hour and currency: all but the own recent payments. */
  settled: Map<string, Totals[]>
}

/** A tile as it is to be written: `past` when `version` is new. */
export interface TileChange {
  key: Key
  recent: Buffer
  past: Buffer
  version: number
}

interface Stored {
  /** The lane whose tiles the caller may write. */
  lane: number
  keys: readonly Key[]
  /** By the position of their key. */
  tiles: readonly (Tile & { n: number; lane: number; version: number })[]
  truths: readonly { n: number; truthAt: (at: number) => Truth }[]
  truthKeys: readonly Key[]
}

/** The state of windows that a batch reads and changes: payments see those decided before them in the same batch. */
export class Ledger {
  private readonly accounts = new Map<string, AccountState & { tenant: string; account: string }>()
  private readonly tiles = new Map<string, KeyTiles>()
  private readonly truths = new Map<string, (at: number) => Truth>()

  constructor({ lane, keys, tiles, truths, truthKeys }: Stored) {
    for (const key of keys)
      this.tiles.set(nameOfKey(key), {
        key,
        own: { ...emptyTile(), version: 0 },
        others: [],
        changed: false,
        settled: new Map(),
      })
    for (const { n, lane: of, recent, past, version } of tiles) {
      const known = this.tiles.get(nameOfKey(keys[n - 1]!))!
      if (of === lane) known.own = { recent, past, version }
      else known.others.push(past, recent)
    }
    for (const { n, truthAt } of truths) this.truths.set(nameOfKey(truthKeys[n - 1]!), truthAt)
  }

  /** Gives an account its state, as of before the batch. */
  open(tenant: string, account: string, state: AccountState): void {
    this.accounts.set(nameOf(tenant, account), { ...state, tenant, account })
  }

  windowsOf(tenant: string, facts: Facts): Windows {
    const account = this.accounts.get(nameOf(tenant, facts.account)) ?? emptyAccount()
    const totals = (dimension: Dimension) => this.totals(tenant, dimension, facts)
    const truth = (dimension: Dimension) => this.truth(tenant, dimension, facts)
    return {
      account: accountWindows(account, facts),
      merchant: totals(DIMENSIONS.merchant),
      place: totals(DIMENSIONS.place),
      method: totals(DIMENSIONS.method),
      truth: {
        account: truth(DIMENSIONS.account),
        merchant: truth(DIMENSIONS.merchant),
        place: truth(DIMENSIONS.place),
        method: truth(DIMENSIONS.method),
      },
    }
  }

  /** Counts a payment that is decided. */
  add(tenant: string, facts: Facts): void {
    const name = nameOf(tenant, facts.account)
    const account = this.accounts.get(name) ?? { ...emptyAccount(), tenant, account: facts.account }
    this.accounts.set(name, { ...account, ...appended(account, accountRecord(facts)) })
    this.count(tenant, facts)
  }

  /** Counts a payment for its merchant, place and method alone. */
  count(tenant: string, facts: Facts): void {
    for (const dimension of TILED) {
      const tiles = this.tilesOf(keyOf(tenant, dimension, facts))
      if (!tiles) continue
      tiles.changed = true
      tiles.own = { ...tiles.own, recent: tileWith(tiles.own.recent, facts) }
      if (!isWide(tiles.own.recent)) continue
      tiles.own = { ...folded(tiles.own), version: tiles.own.version + 1 }
      tiles.settled.clear()
    }
  }

  /** The tiles to be written. */
  changes(): TileChange[] {
    return [...this.tiles.values()].filter(({ changed }) => changed).map(({ key, own }) => ({ key, ...own }))
  }

  /** The accounts whose recent payments are to be moved to their past. */
  long(): { tenant: string; userId: string; past: Buffer }[] {
    return [...this.accounts.values()]
      .filter(isLong)
      .map((state) => ({ tenant: state.tenant, userId: state.account, past: compacted(state).past }))
  }

  private tilesOf(key: Key | undefined): KeyTiles | undefined {
    return key && this.tiles.get(nameOfKey(key))
  }

  private totals(tenant: string, dimension: Dimension, facts: Facts): Totals[] {
    const tiles = this.tilesOf(keyOf(tenant, dimension, facts))
    if (!tiles) return noTotals()
    const name = `${hourOf(facts.at)} ${facts.currency}`
    const settled = tiles.settled.get(name) ?? tileTotals([...tiles.others, tiles.own.past], facts)
    tiles.settled.set(name, settled)
    const totals = tileTotals([tiles.own.recent], facts)
    addAll(totals, settled)
    return totals
  }

  private truth(tenant: string, dimension: Dimension, facts: Facts): Truth {
    const key = keyOf(tenant, dimension, facts)
    const known = key && this.truths.get(nameOfKey(key))
    return known ? known(facts.at) : nothingKnown()
  }
}
