import 'reflect-metadata'
import { createLogger, readConfig, stopOnSignals } from '#libs/platform'
import { FraudConfig, startFraud } from './start.js'

const config = readConfig(FraudConfig, process.env)
const logger = createLogger('fraud', config.LOG_LEVEL)
stopOnSignals(await startFraud(config, logger), logger)
