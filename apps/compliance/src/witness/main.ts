import 'reflect-metadata'
import { createLogger, readConfig, stopOnSignals } from '#libs/platform'
import { startWitness, WitnessConfig } from './start.js'

const config = readConfig(WitnessConfig, process.env)
const logger = createLogger('witness', config.LOG_LEVEL)
stopOnSignals(await startWitness(config, logger), logger)
