import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { cosignatureKey, signerFrom, verificationKey } from '#libs/audit'
import { createLogger, type RunningService } from '#libs/platform'
import { startWitness, WitnessConfig } from '../../apps/compliance/src/witness/start.js'
import { witnessKey } from '../../apps/compliance/src/witness/state.js'
import { freePort } from '../../scripts/embedded/port.js'

const ORIGIN = 'vigil.invalid/audit'

/** A witness beside a log whose data folder is `dataDir`; it can be stopped and started again with what it knows. */
export interface WitnessUnderTest {
  /** What the log is configured with. */
  address: string
  url: string
  vkey: string
  logVkey: string
  start(): Promise<void>
  stop(): Promise<void>
}

export async function startWitnessUnderTest(dataDir: string, origin = ORIGIN): Promise<WitnessUnderTest> {
  const folder = mkdtempSync(join(tmpdir(), 'vigil-witness-'))
  const logVkey = verificationKey(signerFrom(join(dataDir, 'secrets', 'audit-log-key'), origin))
  const port = await freePort(0)
  const config = WitnessConfig.parse({
    WITNESS_DIR: folder,
    WITNESS_LOGS: logVkey,
    PORT: port,
    DRAIN_DELAY_MS: 0,
  })
  let service: RunningService | undefined
  const start = async () => {
    service = await startWitness(config, createLogger('witness', 'silent'))
  }
  await start()
  const vkey = cosignatureKey(witnessKey(folder, config.WITNESS_NAME))
  const url = `http://127.0.0.1:${port}`
  return {
    address: `${url} ${vkey}`,
    url,
    vkey,
    logVkey,
    start,
    stop: async () => {
      await service?.stop()
      service = undefined
    },
  }
}
