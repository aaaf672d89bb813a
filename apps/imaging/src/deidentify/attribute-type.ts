import { ATTRIBUTE_TYPES, SOP_CLASSES } from './tables/attribute-types.generated.js'

/** Type of an attribute in an IOD (PS3.5 7.4): 1 has a value, 2 may be empty, 3 may be missing; 1C as 1, 2C as 2. */
export type AttributeType = 1 | 2 | 3

interface Types {
  bySopClass: Map<string, AttributeType>
  byParent: Map<number, AttributeType>
}

const ROOT = '1.2.840.10008.5.1.4.1.1.'
const sopClasses = SOP_CLASSES.trim()
  .split(/\s+/)
  .map((suffix) => ROOT + suffix)
const known = new Set(sopClasses)

function classesIn(ranges: string): string[] {
  return ranges.split(',').flatMap((range) => {
    const [from, to = from] = range.split('-').map(Number)
    return sopClasses.slice(from, to! + 1)
  })
}

function parse(line: string): [number, Types] {
  const [tag, top, below] = line.split('|')
  const types: Types = { bySopClass: new Map(), byParent: new Map() }
  for (const entry of top!.split(' ').filter(Boolean)) {
    const [type, ranges] = entry.split(':')
    for (const uid of classesIn(ranges!)) types.bySopClass.set(uid, Number(type) as AttributeType)
  }
  for (const entry of below!.split(' ').filter(Boolean)) {
    const [parent, type] = entry.split(':')
    types.byParent.set(Number.parseInt(parent!, 16), Number(type) as AttributeType)
  }
  return [Number.parseInt(tag!, 16), types]
}

const table = new Map(ATTRIBUTE_TYPES.trim().split('\n').map(parse))

/** Where an attribute stands: the instance's SOP class, and the sequence that holds it (undefined at the top). */
export interface Place {
  sopClass: string
  parent?: number
}

/**
 * The type of an attribute there (PS3.3 module tables). In an instance of a class that the tables do not know it is
 * taken for type 1 at the top, so that what was there stays there.
 */
export function attributeType(tag: number, { sopClass, parent }: Place): AttributeType {
  const types = table.get(tag)
  if (!types) return 3
  if (parent !== undefined) return types.byParent.get(parent) ?? 3
  return known.has(sopClass) ? (types.bySopClass.get(sopClass) ?? 3) : 1
}
