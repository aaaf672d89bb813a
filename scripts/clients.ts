import { clients } from './identity/clients.js'
import { runCommand } from './identity/session.js'

runCommand('clients', clients)
