import 'reflect-metadata'
import { createLogger, readConfig, stopOnSignals } from '#libs/platform'
import { ComplianceConfig, startCompliance } from './start.js'

const config = readConfig(ComplianceConfig, process.env)
const logger = createLogger('compliance', config.LOG_LEVEL)
stopOnSignals(await startCompliance(config, logger), logger)
