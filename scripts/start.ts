import { DataDirInUseError } from './supervise/lock.js'
import { startVigil } from './supervise/vigil.js'

const dataDir = process.env.DATA_DIR ?? '.data'

async function main(): Promise<void> {
  const vigil = await startVigil({ dataDir, env: process.env, log: (line) => console.log(line) })
  let stopping = false
  const stop = async () => {
    if (stopping) return
    stopping = true
    console.log('stopping')
    await vigil.stop()
    process.exit(0)
  }
  process.on('SIGINT', stop)
  process.on('SIGTERM', stop)
  for (const [name, url] of Object.entries(vigil.urls))
    console.log(`${name.padEnd(11)} ${url}   API: ${url}/docs`)
  console.log(`credentials ${dataDir}/credentials.json`)
  console.log('Vigil is up. Ctrl-C stops it.')
}

main().catch((error: Error) => {
  console.error(error instanceof DataDirInUseError ? error.message : error)
  process.exit(1)
})
