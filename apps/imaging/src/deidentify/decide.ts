import type { CodeSet } from './dicom/charset.js'
import { standardVr } from './dicom/dictionary.js'
import { type Element, type Encoding, groupOf, isPrivate, vrOf } from './dicom/element.js'
import { CHARSET_VRS } from './dicom/vr.js'
import type { PixelFinding, Policies } from './order.js'
import type { Profile, Resolved } from './profile.js'
import { CONTENT_VALUES } from './structured-content.js'

/** Where an element stands, and what the sequences around it mean for it. */
export interface Context {
  /** Path of the sequences around, with a dot at its end. */
  prefix: string
  /** The sequence that holds the element; undefined at the top. */
  parent?: number
  encoding: Encoding
  charset: CodeSet
  /** Private elements that may stay (E.3.10). */
  safe: ReadonlySet<number>
  /** Inside a description's codes, a content tree, graphics, a sequence whose values become dummies, or one that is taken out. */
  within?: 'description' | 'content' | 'graphics' | 'dummied' | 'removed'
  /** What the concept of the content item around says of its value (E.3.4). */
  value?: Resolved
}

export const TAG = {
  charset: 0x00080005,
  sopClass: 0x00080016,
  sopInstance: 0x00080018,
  patientName: 0x00100010,
  patientId: 0x00100020,
  birthDate: 0x00100030,
  document: 0x00420011,
  documentLength: 0x00420015,
  mediaType: 0x00420012,
  annotation: 0x00700001,
  content: 0x0040a730,
  personCode: 0x00401101,
  institutionCode: 0x00080082,
  timezone: 0x00080201,
  pixelData: 0x7fe00010,
  trailingPadding: 0xfffcfffc,
} as const

/** UIDs that name kinds of things, not things: classes, syntaxes, coding schemes, templates. */
const KIND_UIDS = new Set([
  0x00080016, 0x0008001a, 0x0008001b, 0x00080062, 0x0008010c, 0x00080117, 0x00080118, 0x00081150, 0x0008115a,
  0x00083002, 0x0040db0d, 0x00041510, 0x00041512, 0x00400510,
])
/** A code, its scheme and meaning: what a content item is about, not what it says of somebody. */
const CODE = new Set([0x00080100, 0x00080102, 0x00080103, 0x00080104, 0x00080119])
/** A UID of the standard itself. None has a part of five digits: a date or an ID does not pass for one. */
export const UID_OF_STANDARD = /^1\.2\.840\.10008(\.\d{1,4}){1,9}$/

/** Responsible Person and Organization: removed by the table, but an animal's must be there, if empty. */
const RESPONSIBLE = new Set([0x00102297, 0x00102299])

const KEEP: Resolved = { action: 'keep' }
const REMOVE: Resolved = { action: 'remove' }
const SAFE: Resolved = { action: 'keep', option: 'retain-safe-private' }
const EMPTY: Resolved = { action: 'empty' }
const UID: Resolved = { action: 'uid' }
const DUMMY: Resolved = { action: 'dummy' }
const DESCRIPTION: Resolved = { action: 'clean-text', option: 'clean-descriptors' }
const GRAPHICS: Resolved = { action: 'clean-text', option: 'clean-graphics' }

/** What to do with each element of one instance. */
export class Decider {
  constructor(
    private readonly profile: Profile,
    private readonly sopClass: string,
    private readonly policies: Policies,
    private readonly finding: PixelFinding,
    private readonly isAnimal = false,
  ) {}

  decide(element: Element, context: Context): Resolved {
    const { tag } = element
    // Lengths of groups are never true again; what pads the end is nobody's.
    if ((tag & 0xffff) === 0 || tag === TAG.trailingPadding) return REMOVE
    if (isPrivate(tag))
      return this.profile.has('retain-safe-private') && context.safe.has(tag) ? SAFE : REMOVE
    if (groupOf(tag) >>> 8 === 0x50) return REMOVE
    if (groupOf(tag) >>> 8 === 0x60) return this.plane(tag)
    if (this.isAnimal && RESPONSIBLE.has(tag)) return EMPTY
    if (context.value && CONTENT_VALUES.has(tag)) return context.value
    return (
      this.profile.resolve(tag, { sopClass: this.sopClass, parent: context.parent }) ??
      this.unlisted(element, context)
    )
  }

  /** An overlay's elements mean nothing without its data: they stay or go together. */
  private plane(tag: number): Resolved {
    const keep = this.profile.has('clean-graphics') && this.finding.overlaysClean
    if (!keep) return REMOVE
    return (tag & 0xffff) === 0x4000 ? GRAPHICS : KEEP
  }

  private unlisted(element: Element, { within }: Context): Resolved {
    const vr = vrOf(element)
    if (vr === 'UI' && !element.items) return KIND_UIDS.has(element.tag) ? KEEP : UID
    if (vr === 'PN') return DUMMY
    if (within && CHARSET_VRS.has(vr)) {
      if (within === 'description' && vr !== 'SH') return DESCRIPTION
      if (within === 'graphics') return GRAPHICS
      if (within === 'dummied' && !CODE.has(element.tag)) return DUMMY
    }
    if (this.policies.unknownAttributes === 'remove' && standardVr(element.tag) === undefined) return REMOVE
    return KEEP
  }
}
