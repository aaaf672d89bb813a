import { randomBytes } from 'node:crypto'
import { hash, parseOptions, verify } from '@node-rs/argon2'

// OWASP's first choice for argon2id: 19 MiB, 2 passes, 1 lane (the library's defaults, written out).
const COST = { algorithm: 2, memoryCost: 19_456, timeCost: 2, parallelism: 1 } as const

/** Shortest and longest password (NIST SP 800-63B-4 3.1.1.2 asks for 15 where it stands alone; long ones cost us time). */
export const PASSWORD_LENGTH = { min: 15, max: 128 } as const

/** The same text however a keyboard spells it (NIST SP 800-63B-4 3.1.1.2). */
const normal = (password: string): string => password.normalize('NFKC')

export const hashPassword = (password: string): Promise<string> => hash(normal(password), COST)

/** Twenty characters nobody chose: 120 bits. */
export const newPassword = (): string => randomBytes(15).toString('base64url')

let nobody: Promise<string> | undefined

/** Verifies against the hash of an account; where there is none, costs as much and is false. */
export async function passwordMatches(passwordHash: string | undefined, password: string): Promise<boolean> {
  nobody ??= hashPassword('the password of an account that does not exist')
  const matches = await verify(passwordHash ?? (await nobody), normal(password.slice(0, PASSWORD_LENGTH.max)))
  return passwordHash !== undefined && matches
}

/** Whether a hash was made with less cost than we ask for today. */
export const isOutdated = (passwordHash: string): boolean => {
  const { memoryCost, timeCost } = parseOptions(passwordHash)
  return memoryCost < COST.memoryCost || timeCost < COST.timeCost
}
