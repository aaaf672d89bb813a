import pg from 'pg'

/**
 * Appends entries through `audit.append`, as the services do, as fast as the server can: bodies of about 400 bytes, each
 * with a subject, a tenth of them with one of 5,000 patients.
 */
const APPEND = `
  SELECT count(audit.append(id, format('{"action":"%s","actor":{"id":"client-%s","type":"client"},"correlation_id":"%s",'
    || '"details":{"amount_minor":12990,"currency":"EUR","decision":"approve","model":"fraud-gbdt/v1","policy":"1","score":0.0421337},'
    || '"id":"%s","outcome":"%s",%s"service":"%s","subject":{"id":"subject-%s","type":"transaction"},"tenant":"default"}',
    (ARRAY['TRANSACTION_DECIDED','IMAGE_SUBMITTED','IMAGE_ANALYSED','PHI_READ','AUDIT_READ'])[1 + n % 5], n % 50, id, id,
    (ARRAY['success','success','success','failure','denied'])[1 + n % 5],
    CASE WHEN n % 10 = 0 THEN format('"patient_ref":"%s",', md5((n % 50000)::text)) ELSE '' END,
    (ARRAY['fraud','imaging','compliance'])[1 + n % 3], n)))
  FROM (SELECT n, gen_random_uuid() AS id FROM generate_series($1::int, $2::int) n) entries`

const STEP = 10_000

/** Fills the log up to `entries` from two connections; `first` is the number of entries that are there already. */
export async function appendLoad(adminUrl: string, first: number, entries: number): Promise<void> {
  let next = first
  const work = async () => {
    const client = new pg.Client({ connectionString: adminUrl })
    await client.connect()
    try {
      for (let from = next; from < entries; from = next) {
        next = Math.min(from + STEP, entries)
        await client.query(APPEND, [from, next - 1])
      }
    } finally {
      await client.end()
    }
  }
  await Promise.all([work(), work()])
}
