import { runCommand } from './identity/session.js'
import { users } from './identity/users.js'

runCommand('users', users)
