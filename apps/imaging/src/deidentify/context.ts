import { type Context, TAG } from './decide.js'
import type { Bytes } from './dicom/bytes.js'
import { codeSetOf } from './dicom/charset.js'
import { type Element, type Encoding, type Item, tagName, textOf } from './dicom/element.js'
import type { Option } from './options.js'
import { safePrivate } from './private-block.js'
import type { Action, Resolved } from './profile.js'
import { CONTENT_VALUES, conceptOf, resolveConcept } from './structured-content.js'

const WITHIN: Partial<Record<Action, Context['within']>> = {
  dummy: 'dummied',
  'clean-text': 'description',
  'clean-content': 'content',
  'clean-graphics': 'graphics',
}
const TEXT_VALUE: Resolved = { action: 'clean-text', option: 'clean-structured-content' }

/** The context at the top of an instance. */
export function topContext(
  dataset: Bytes,
  elements: readonly Element[],
  encoding: Encoding,
  options: readonly Option[],
): Context {
  return {
    prefix: '',
    encoding,
    charset: codeSetOf(textOf({ dataset, elements: elements as Element[] }, TAG.charset)),
    safe: options.includes('retain-safe-private') ? safePrivate(dataset, elements) : NONE,
  }
}

const NONE: ReadonlySet<number> = new Set()

/** The context inside one item of a sequence; `removed` where the concept of a content item takes the item out. */
export function itemContext(
  dataset: Bytes,
  outer: Context,
  sequence: Element,
  index: number,
  resolved: Resolved,
  options: readonly Option[],
): Context {
  const item = sequence.items![index]!
  const { elements } = item
  const own = elements.some(({ tag }) => tag === TAG.charset)
    ? codeSetOf(textOf({ dataset, elements }, TAG.charset))
    : outer.charset
  const within = outer.within === 'removed' ? 'removed' : (WITHIN[resolved.action] ?? outer.within)
  const value = within === 'content' ? contentValue(dataset, item, options) : undefined
  return {
    prefix: `${outer.prefix}${tagName(sequence.tag)}[${index}].`,
    parent: sequence.tag,
    encoding: sequence.itemEncoding ?? outer.encoding,
    charset: own,
    safe: options.includes('retain-safe-private') ? safePrivate(dataset, elements) : NONE,
    ...(within ? { within } : {}),
    ...(value ? { value } : {}),
  }
}

/** What to do with a content item's value: by its concept, else text is cleaned and the rest goes by its own row. */
function contentValue(dataset: Bytes, item: Item, options: readonly Option[]): Resolved | undefined {
  const concept = conceptOf(dataset, item)
  const resolved = concept && resolveConcept(concept.scheme, concept.code, options)
  if (resolved) return resolved
  const text = item.elements.find(({ tag }) => CONTENT_VALUES.has(tag))
  return text?.tag === 0x0040a160 ? TEXT_VALUE : undefined
}
