import { isAscii } from 'node:buffer'
import { itemContext } from './context.js'
import { type Context, type Decider, TAG, UID_OF_STANDARD } from './decide.js'
import type { Bytes } from './dicom/bytes.js'
import { decodeText } from './dicom/charset.js'
import { bytesOf, type Element, isPrivate, vrOf } from './dicom/element.js'
import { CHARSET_VRS } from './dicom/vr.js'
import { Identifiers } from './identifiers.js'
import type { Option } from './options.js'
import { isDescription } from './profile.js'

/** Longest value that is read for identifiers: documents are not lists of names. */
const LONGEST = 4096
const RETAINED = new Set([
  'keep',
  'items-only',
  'clean-content',
  'clean-graphics',
  'clean-private',
  'clean-name',
])

/** Gathers what tells of somebody from everything that is going to be taken out or replaced. */
export class Collector {
  readonly identifiers = new Identifiers()
  /** Of those, what tells of the patient and other people: not even what an option keeps may hold it. */
  readonly people = new Identifiers()

  constructor(
    private readonly dataset: Bytes,
    private readonly decider: Decider,
    private readonly options: readonly Option[],
    /** Values of our own making, which are no identifiers. */
    private readonly isOurs: (value: string) => boolean,
  ) {}

  collect(elements: readonly Element[], context: Context): void {
    for (const element of elements) {
      const resolved = this.decider.decide(element, context)
      const retained = RETAINED.has(resolved.action)
      if (element.items) {
        const gone = resolved.action === 'remove' || resolved.action === 'empty'
        const outer: Context = gone ? { ...context, within: 'removed' } : context
        for (const [at, item] of element.items.entries())
          this.collect(item.elements, itemContext(this.dataset, outer, element, at, resolved, this.options))
      } else if (!retained) {
        const isText = resolved.action === 'clean-text' || (isDescription(element.tag) && !context.value)
        this.value(element, context, isText)
      } else if (context.within === 'removed') this.value(element, context, true)
    }
  }

  private value(element: Element, context: Context, numbersOnly: boolean): void {
    const length = element.valueEnd - element.valueStart
    if (length === 0 || length > LONGEST || isPrivate(element.tag)) return
    const vr = vrOf(element)
    if (!CHARSET_VRS.has(vr) && !['AE', 'UR', 'UI', 'DA', 'DT'].includes(vr)) return
    const bytes = bytesOf(this.dataset, element)
    if (vr === 'PN' && (!isAscii(bytes) || bytes.includes(0x1b))) this.identifiers.addWritten(bytes)
    const text = CHARSET_VRS.has(vr) ? decodeText(bytes, context.charset).text : bytes.toString('latin1')
    for (const raw of text.split('\\')) {
      const value = raw.replace(/(?<![\0 ])[\0 ]+$/, '').trimStart()
      if (value && !this.isOurs(value)) this.add(element.tag, vr, value, numbersOnly)
    }
  }

  private add(tag: number, vr: string, value: string, numbersOnly: boolean): void {
    const { identifiers, people } = this
    if (tag === TAG.patientId) people.addText(value)
    if (tag === TAG.birthDate) people.addDate(value)
    if (vr === 'PN') {
      identifiers.addName(value)
      people.addName(value)
    } else if (vr === 'DA' || vr === 'DT') identifiers.addDate(value)
    else if (vr === 'UI') {
      if (!UID_OF_STANDARD.test(value)) identifiers.addUid(value)
    } else if (numbersOnly) identifiers.addNumbers(value)
    else identifiers.addText(value)
  }
}
