// A sequencer as a process of its own, for tests that kill it: DATABASE_URL of vigil_sequencer, DATA_DIR. It runs the
// compiled code with the three files of libs/platform that it needs: the whole of it would load Nest twenty times.
import { registerHooks } from 'node:module'
import { join } from 'node:path'

const compiled = (file) => new URL(`../../dist/libs/${file}.js`, import.meta.url).href
const platform = ['database', 'durable-file', 'metrics'].map(
  (name) => `export * from '${compiled(`platform/src/${name}`)}'`,
)
registerHooks({
  resolve: (specifier, context, next) =>
    specifier === '#libs/platform'
      ? { url: `data:text/javascript,${encodeURIComponent(platform.join('\n'))}`, shortCircuit: true }
      : next(specifier, context),
})
const load = (file) => import(compiled(file))
const { createPool } = await load('platform/src/database')
const { Cosigners } = await load('audit/src/cosigning')
const { PublishedFile } = await load('audit/src/published-file')
const { Publisher } = await load('audit/src/publisher')
const { startSequencer } = await load('audit/src/sequencer')
const { signerFrom } = await load('audit/src/signing-key')

const { DATABASE_URL, DATA_DIR } = process.env
const pool = createPool(DATABASE_URL, { applicationName: 'test-sequencer', max: 2 })
const cosigners = new Cosigners({ witnesses: [], timeoutMs: 100, onConflict: () => {} })
const signer = signerFrom(join(DATA_DIR, 'key'), 'test.invalid/log')
const published = new PublishedFile(join(DATA_DIR, 'published'))
let told = false
startSequencer({
  pool,
  publisher: new Publisher({ pool, signer, published, cosigners }),
  intervalMs: 10,
  onState: (error) => {
    if (error?.name === 'BrokenHistoryError') console.error(error.message)
    else if (error) console.error(`again: ${error.message}`)
    if (!told) console.log('at work')
    told = true
  },
})
process.on('disconnect', () => process.exit(0))
