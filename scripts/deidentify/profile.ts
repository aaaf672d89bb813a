import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { z } from 'zod'
import { readCertificate } from '../../apps/imaging/src/deidentify/envelope.js'
import { contradiction, OPTION_NAMES, type Option } from '../../apps/imaging/src/deidentify/options.js'
import type { Order } from '../../apps/imaging/src/deidentify/order.js'
import type { TextDetector } from '../../apps/imaging/src/pixels/text/detector.js'
import type { Look } from './file.js'

/** A de-identification profile: what a privacy officer decides once and a data manager uses. */
export const ProfileFile = z
  .strictObject({
    /** For people; nothing of it is written into an instance. */
    description: z.string().optional(),
    /** Options of PS3.15 E.3 beside the Basic Profile. */
    options: z
      .array(z.enum(OPTION_NAMES as [Option, ...Option[]]))
      .refine((names) => new Set(names).size === names.length, 'names an option twice')
      .default([]),
    policies: z
      .strictObject({
        documents: z.enum(['quarantine', 'blank']).default('quarantine'),
        /** Images that may hold text in their pixels: find it and black it out, or look at none. */
        burned_in_text: z.enum(['mask', 'unchecked']).default('mask'),
        unchecked_pixels: z.enum(['quarantine', 'pass']).default('quarantine'),
        unknown_attributes: z.enum(['keep', 'remove']).default('keep'),
      })
      .default({
        documents: 'quarantine',
        burned_in_text: 'mask',
        unchecked_pixels: 'quarantine',
        unknown_attributes: 'keep',
      }),
    /** File with the project's key; beside the profile where the path is relative. */
    project_key: z.string().min(1).optional(),
    /** Certificate (PEM) of whoever may put the originals back. */
    escrow_certificate: z.string().min(1).optional(),
    /** Output files keep the names of the input, unless these tell of somebody; or are named by their new UID. */
    file_names: z.enum(['keep', 'uid']).default('keep'),
  })
  .superRefine(({ options }, context) => {
    const conflict = contradiction(options)
    if (conflict) context.addIssue({ code: 'custom', path: ['options'], message: conflict })
  })
export type ProfileFile = z.infer<typeof ProfileFile>

/** A profile cannot be used; the message says where. */
export class ProfileError extends Error {
  override readonly name = 'ProfileError'
}

const inside = (file: string, path: string): string => resolve(dirname(file), path)

/** Reads a profile; paths in it become absolute. Throws ProfileError. */
export function readProfile(file: string): ProfileFile {
  let content: unknown
  try {
    content = JSON.parse(readFileSync(file, 'utf8'))
  } catch (error) {
    throw new ProfileError(`${file}: ${(error as Error).message}`)
  }
  const parsed = ProfileFile.safeParse(content)
  if (!parsed.success) {
    const issues = parsed.error.issues.map(({ path, message }) => `/${path.join('/')} ${message}`)
    throw new ProfileError(`${file}: ${issues.join('; ')}`)
  }
  const { project_key, escrow_certificate, ...rest } = parsed.data
  return {
    ...rest,
    ...(project_key ? { project_key: inside(file, project_key) } : {}),
    ...(escrow_certificate ? { escrow_certificate: inside(file, escrow_certificate) } : {}),
  }
}

/** What a profile asks for, with the project's keys. Throws ProfileError for a certificate that cannot be used. */
export function orderFor(profile: ProfileFile, keys: Order['keys']): Order {
  const { options, policies, escrow_certificate } = profile
  return {
    ...{ options, keys },
    policies: {
      documents: policies.documents,
      uncheckedPixels: policies.unchecked_pixels,
      unknownAttributes: policies.unknown_attributes,
    },
    ...(escrow_certificate
      ? { escrow: { certificate: certificateAt(escrow_certificate), random: randomBytes } }
      : {}),
  }
}

function certificateAt(path: string): string {
  try {
    const pem = readFileSync(path, 'utf8')
    readCertificate(pem)
    return pem
  } catch (error) {
    throw new ProfileError(`/escrow_certificate ${path}: ${(error as Error).message}`)
  }
}

/** The networks and their runtime are loaded by whoever needs them, not by every run. */
const loadDetector = async (): Promise<TextDetector> =>
  (await import('../../apps/imaging/src/pixels/text/detector.js')).TextDetector.load()

/** How a profile looks at pixels: with one detector for all files of a thread, loaded when the first needs it. */
export function lookFor({ policies }: ProfileFile): Look {
  if (policies.burned_in_text === 'unchecked') return undefined
  let detector: Promise<TextDetector> | undefined
  return () => {
    detector ??= loadDetector()
    return detector
  }
}
