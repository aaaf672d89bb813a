/** A rectangle of pixels: columns `left` to `right` and rows `top` to `bottom`, the last ones not included. */
export interface Region {
  left: number
  top: number
  right: number
  bottom: number
}

/** The rectangle grown on every side, cut at the edges of the picture. */
export const grow = (
  { left, top, right, bottom }: Region,
  by: number,
  width: number,
  height: number,
): Region => ({
  left: Math.max(0, left - by),
  top: Math.max(0, top - by),
  right: Math.min(width, right + by),
  bottom: Math.min(height, bottom + by),
})

const overlap = (a: Region, b: Region): boolean =>
  a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom

const around = (a: Region, b: Region): Region => ({
  left: Math.min(a.left, b.left),
  top: Math.min(a.top, b.top),
  right: Math.max(a.right, b.right),
  bottom: Math.max(a.bottom, b.bottom),
})

const contains = (a: Region, b: Region): boolean =>
  a.left <= b.left && a.top <= b.top && a.right >= b.right && a.bottom >= b.bottom

/** The same area without rectangles that lie within others; those of one line that overlap become one. */
export function merge(regions: readonly Region[]): Region[] {
  const merged: Region[] = []
  for (const region of [...regions].sort((a, b) => a.top - b.top || a.left - b.left)) {
    const at = merged.findIndex(
      (other) =>
        contains(other, region) ||
        contains(region, other) ||
        (overlap(other, region) &&
          Math.abs(other.top - region.top) + Math.abs(other.bottom - region.bottom) < 8),
    )
    if (at < 0) merged.push(region)
    else merged[at] = around(merged[at]!, region)
  }
  return merged
}
