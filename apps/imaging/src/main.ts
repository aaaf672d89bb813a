import 'reflect-metadata'
import { createLogger, readConfig, stopOnSignals } from '#libs/platform'
import { ImagingConfig, startImaging } from './start.js'

const config = readConfig(ImagingConfig, process.env)
const logger = createLogger('imaging', config.LOG_LEVEL)
stopOnSignals(await startImaging(config, logger), logger)
