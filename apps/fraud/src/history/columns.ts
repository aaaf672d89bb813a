/** What a line of history says of a payment; the names are those of `POST /api/v1/transactions`, and its truth. */
export const FIELDS = [
  'transaction_id',
  'timestamp',
  'user_id',
  'merchant_id',
  'amount',
  'currency',
  'payment_method',
  'latitude',
  'longitude',
  'label',
  'labelled_at',
] as const
export type Field = (typeof FIELDS)[number]

const REQUIRED: readonly Field[] = ['transaction_id', 'timestamp', 'user_id', 'merchant_id', 'amount']

/** Columns of the Fraud Detection Handbook's file (chapter 3.2), found without being told. */
const HANDBOOK: Partial<Record<Field, string>> = {
  transaction_id: 'TRANSACTION_ID',
  timestamp: 'TX_DATETIME',
  user_id: 'CUSTOMER_ID',
  merchant_id: 'TERMINAL_ID',
  amount: 'TX_AMOUNT',
  label: 'TX_FRAUD',
  currency: 'CURRENCY',
  payment_method: 'PAYMENT_METHOD',
}

/** Position of each field's column in the file. */
export type Columns = Partial<Record<Field, number>>

const isField = (name: string): name is Field => (FIELDS as readonly string[]).includes(name)

/**
 * Finds each field's column in a header: where `mappings` (`field=COLUMN`) say, else by the field's own name, else by
 * the handbook's. Returns what is wrong as text.
 */
export function columnsOf(header: readonly string[], mappings: readonly string[]): Columns | string {
  const columns: Columns = {}
  for (const mapping of mappings) {
    const [, field = '', column = ''] = /^([a-z_]+)=(.+)$/.exec(mapping) ?? []
    if (!isField(field)) return `--map takes FIELD=COLUMN with one of the fields ${FIELDS.join(', ')}`
    const at = header.indexOf(column)
    if (at < 0) return `The file has no column ${column}; it has ${header.join(', ')}`
    columns[field] = at
  }
  for (const field of FIELDS) {
    if (columns[field] !== undefined) continue
    const at = [field, HANDBOOK[field]].map((name) => (name ? header.indexOf(name) : -1)).find((n) => n >= 0)
    if (at !== undefined) columns[field] = at
  }
  const missing = REQUIRED.filter((field) => columns[field] === undefined)
  return missing.length === 0
    ? columns
    : `No column for ${missing.join(', ')}: name it with --map ${missing[0]}=COLUMN`
}
