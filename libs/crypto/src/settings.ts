import { z } from 'zod'

const name = z.string().regex(/^[A-Za-z0-9_.-]{1,128}$/)
const mount = z.string().regex(/^[A-Za-z0-9_.-]+(\/[A-Za-z0-9_.-]+)*$/)
const awsKey = z
  .string()
  .max(255)
  .regex(/^(arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:key\/)?[A-Za-z0-9-]+$/, 'must be the ARN or id of a key')
const count = (low: number, high: number) => z.coerce.number().int().min(low).max(high)

/** Who holds the key-encryption keys, as environment variables; every service extends its configuration with them. */
export const keySettings = {
  KMS: z.enum(['local', 'vault', 'aws']).default('local'),
  /** A provider that wrapped before and still unwraps: while keys move from one to another. */
  KMS_PREVIOUS: z.enum(['local', 'vault', 'aws']).optional(),
  KMS_TIMEOUT_MS: count(100, 60_000).default(5_000),
  /** Data keys held in memory, and for how long: how long reads outlast a key management service that is away. */
  KEY_CACHE_SIZE: count(0, 1_000_000).default(4_096),
  KEY_CACHE_TTL_S: count(1, 86_400).default(600),
  /** Live versions of the blind indexes' keys, the one that writes first: `1`; then `1,2`, `2,1` to turn it over. */
  BLIND_INDEX_VERSIONS: z
    .string()
    .default('1')
    .transform((text) => text.split(',').map(Number))
    .pipe(z.array(z.int().min(1).max(9_999)).min(1).max(8))
    .refine((versions) => new Set(versions).size === versions.length, 'must not name a version twice'),
  VAULT_ADDR: z.url({ protocol: /^https?$/ }).optional(),
  VAULT_NAMESPACE: z.string().max(256).optional(),
  VAULT_TOKEN: z.string().optional(),
  VAULT_TOKEN_FILE: z.string().optional(),
  VAULT_ROLE_ID: z.string().optional(),
  VAULT_SECRET_ID_FILE: z.string().optional(),
  VAULT_APPROLE_MOUNT: mount.default('approle'),
  /** PEM file of the authority that signed Vault's certificate. */
  VAULT_CACERT: z.string().optional(),
  VAULT_TRANSIT_MOUNT: mount.default('transit'),
  VAULT_TRANSIT_KEY: name.default('vigil'),
  VAULT_SIGNING_KEY: name.default('vigil-sign'),
  AWS_KMS_KEY_ID: awsKey.optional(),
  AWS_KMS_PREVIOUS_KEY_IDS: z
    .string()
    .transform((text) => text.split(',').map((id) => id.trim()))
    .pipe(z.array(awsKey))
    .optional(),
  AWS_KMS_SIGNING_KEY_ID: awsKey.optional(),
  AWS_REGION: z.string().optional(),
  AWS_ENDPOINT_URL_KMS: z.url().optional(),
}
export const KeySettings = z.object(keySettings)
export type KeySettings = z.infer<typeof KeySettings>
