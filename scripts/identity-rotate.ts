import { rotate } from './identity/rotate.js'
import { runCommand } from './identity/session.js'

runCommand('identity:rotate', rotate)
