import type { Region } from './region.js'

/** Probability of text in each point of a grid, row by row. */
export interface TextMap {
  width: number
  height: number
  data: Float32Array
}

/** Points at least this likely belong to text. Lower than the network's usual 0.3: a miss harms, a mask too many does not. */
const POINT = 0.25
/** Mean likelihood of a patch that counts as text; more is asked of one that is taller than a line, because organs are. */
const PATCH = 0.4
const TALL_PATCH = 0.75
const SMALLEST = 2
/** The network predicts the core of each line of text; its outline lies area * ratio / perimeter further out. */
const UNCLIP = 1.9

interface Patch extends Region {
  points: number
  sum: number
}

/** Fills the patch that a point belongs to (four neighbours), without recursion. */
function fill({ width, height, data }: TextMap, seen: Uint8Array, start: number): Patch {
  const patch = { left: width, top: height, right: 0, bottom: 0, points: 0, sum: 0 }
  const queue = [start]
  seen[start] = 1
  for (let at = queue.pop(); at !== undefined; at = queue.pop()) {
    const [x, y] = [at % width, Math.floor(at / width)]
    patch.left = Math.min(patch.left, x)
    patch.right = Math.max(patch.right, x + 1)
    patch.top = Math.min(patch.top, y)
    patch.bottom = Math.max(patch.bottom, y + 1)
    patch.points++
    patch.sum += data[at]!
    const visit = (next: number) => {
      if (seen[next] || data[next]! < POINT) return
      seen[next] = 1
      queue.push(next)
    }
    if (x > 0) visit(at - 1)
    if (x + 1 < width) visit(at + 1)
    if (y > 0) visit(at - width)
    if (y + 1 < height) visit(at + width)
  }
  return patch
}

function unclip({ left, top, right, bottom }: Patch, { width, height }: TextMap): Region {
  const [w, h] = [right - left, bottom - top]
  const by = (w * h * UNCLIP) / (2 * (w + h))
  return {
    left: Math.max(0, left - by),
    top: Math.max(0, top - by),
    right: Math.min(width, right + by),
    bottom: Math.min(height, bottom + by),
  }
}

/**
 * Rectangles around the text of a map, in its own grid (differentiable binarisation, arXiv 1911.08947). Patches over
 * `tallest` points high are no line of text unless the network is sure of them.
 */
export function textRegions(map: TextMap, tallest: number): Region[] {
  const seen = new Uint8Array(map.data.length)
  const regions: Region[] = []
  for (let at = 0; at < map.data.length; at++) {
    if (seen[at] || map.data[at]! < POINT) continue
    const patch = fill(map, seen, at)
    const large = patch.right - patch.left >= SMALLEST && patch.bottom - patch.top >= SMALLEST
    const least = patch.bottom - patch.top > tallest ? TALL_PATCH : PATCH
    if (large && patch.sum / patch.points >= least) regions.push(unclip(patch, map))
  }
  return regions
}
