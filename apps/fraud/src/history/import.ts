import type pg from 'pg'
import { inTransaction, newId } from '#libs/platform'
import { columnsOf } from './columns.js'
import { linesOf } from './lines.js'
import { type ImportSettings, type PastPayment, toPastPayment } from './payment.js'
import { storeHistory } from './store.sql.js'

const BATCH = 5_000
const MOST_COMPLAINTS = 20

/** How an import goes: gathers lines into batches, stores each in a transaction of its own and keeps count. */
export class Import {
  readonly counts = { lines: 0, added: 0, known: 0, labels: 0, wrong: 0 }
  readonly complaints: string[] = []
  private readonly correlationId = newId()
  private batch = new Map<string, { payment: PastPayment; number: number }>()

  constructor(
    private readonly pool: pg.Pool,
    private readonly tenant: string,
  ) {}

  async add(number: number, read: PastPayment | { wrong: string }): Promise<void> {
    this.counts.lines++
    if ('wrong' in read) return this.complain(number, read.wrong)
    // An id that comes twice is judged against its first line, which must be stored by then.
    if (this.batch.has(read.transactionId)) await this.flush()
    this.batch.set(read.transactionId, { payment: read, number })
    if (this.batch.size === BATCH) await this.flush()
  }

  async flush(): Promise<void> {
    const lines = [...this.batch.values()]
    this.batch = new Map()
    if (lines.length === 0) return
    const payments = lines.map(({ payment }) => payment)
    const stored = await inTransaction(this.pool, (client) =>
      storeHistory(client, this.tenant, this.correlationId, payments),
    )
    this.counts.added += stored.added
    this.counts.known += stored.known
    this.counts.labels += stored.labels
    for (const at of stored.conflicts)
      this.complain(lines[at]!.number, 'transaction_id: belongs to another payment')
  }

  private complain(number: number, wrong: string): void {
    this.counts.wrong++
    if (this.complaints.length < MOST_COMPLAINTS) this.complaints.push(`line ${number}: ${wrong}`)
  }
}

/** How a file is to be read. */
export type ImportOptions = Omit<ImportSettings, 'columns'> & { mappings: string[]; tenant: string }

/**
 * Loads a CSV file (gzip by the name's end) in batches, each in a transaction of its own, so that an interrupted import
 * is simply started again. Throws where the file as a whole cannot be read; wrong lines are counted and named.
 */
export async function importHistory(
  file: string,
  pool: pg.Pool,
  options: ImportOptions,
  progress: (bytes: number, lines: number) => void = () => undefined,
): Promise<Import> {
  const work = new Import(pool, options.tenant)
  let settings: ImportSettings | undefined
  let bytes = 0
  const count = (more: number) => {
    bytes += more
  }
  for await (const { number, cells } of linesOf(file, count)) {
    if (settings) {
      await work.add(number, cells ? toPastPayment(cells, settings) : { wrong: 'is not CSV' })
      if (work.counts.lines % 1000 === 0) progress(bytes, work.counts.lines)
      continue
    }
    const columns = columnsOf(cells ?? [], options.mappings)
    if (typeof columns === 'string') throw new Error(columns)
    settings = { ...options, columns }
  }
  if (!settings) throw new Error('The file is empty')
  await work.flush()
  progress(bytes, work.counts.lines)
  return work
}
