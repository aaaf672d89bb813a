import { Roles1764000000100 } from './1764000000100-roles.js'

/** Every migration of the database, in order. A landed migration is never edited. */
export const migrations = [Roles1764000000100]
