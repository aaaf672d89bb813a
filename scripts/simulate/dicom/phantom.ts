import type { Random } from '../random.js'

export type Kind = 'CT' | 'MR' | 'US' | 'CR' | 'US-CINE'

/** A picture before it is written: shades from 0 to 1, frame after frame. */
export interface Phantom {
  rows: number
  columns: number
  frames: number
  shades: Float32Array
}

/** An ellipse: centre, half axes, tilt in radians, and what it adds to the shade (units of half the picture). */
type Ellipse = [x: number, y: number, a: number, b: number, tilt: number, shade: number]

/** The head phantom of Shepp and Logan (1974), with the contrasts of Toft. */
const HEAD: readonly Ellipse[] = [
  [0, 0, 0.69, 0.92, 0, 1],
  [0, -0.0184, 0.6624, 0.874, 0, -0.8],
  [0.22, 0, 0.11, 0.31, -0.314, -0.2],
  [-0.22, 0, 0.16, 0.41, 0.314, -0.2],
  [0, 0.35, 0.21, 0.25, 0, 0.1],
  [0, 0.1, 0.046, 0.046, 0, 0.1],
  [0, -0.1, 0.046, 0.046, 0, 0.1],
  [-0.08, -0.605, 0.046, 0.023, 0, 0.1],
  [0.06, -0.605, 0.023, 0.046, 0, 0.1],
]

/** A chest from the front: soft tissue, two lungs, heart, spine. */
const CHEST: readonly Ellipse[] = [
  [0, 0, 0.92, 0.98, 0, 0.6],
  [-0.4, 0.05, 0.28, 0.6, 0.1, -0.4],
  [0.4, 0.05, 0.28, 0.6, -0.1, -0.4],
  [0.12, -0.15, 0.28, 0.3, 0.5, 0.3],
  [0, 0, 0.07, 0.95, 0, 0.25],
]

function paint(size: number, ellipses: readonly Ellipse[], noise: () => number): Float32Array {
  const shades = new Float32Array(size * size)
  for (let row = 0; row < size; row++) {
    for (let column = 0; column < size; column++) {
      const [x, y] = [(2 * column) / size - 1, 1 - (2 * row) / size]
      let shade = noise()
      for (const [cx, cy, a, b, tilt, value] of ellipses) {
        const [dx, dy] = [x - cx, y - cy]
        const [u, v] = [dx * Math.cos(tilt) + dy * Math.sin(tilt), dy * Math.cos(tilt) - dx * Math.sin(tilt)]
        if ((u / a) ** 2 + (v / b) ** 2 <= 1) shade += value
      }
      shades[row * size + column] = Math.min(1, Math.max(0, shade))
    }
  }
  return shades
}

/** Speckle within the fan of an ultrasound probe. */
function fan(random: Random, rows: number, columns: number): Float32Array {
  const shades = new Float32Array(rows * columns)
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const [dx, dy] = [column - columns / 2, row + rows * 0.08]
      const inside = Math.abs(Math.atan2(dx, dy)) < 0.7 && Math.hypot(dx, dy) < rows && row > rows * 0.05
      if (inside)
        shades[row * columns + column] = Math.min(
          1,
          0.35 * -Math.log(1 - random.next()) * (1 - (0.5 * row) / rows),
        )
    }
  }
  return shades
}

/** A phantom of the kind, with noise out of the given source. */
export function createPhantom(kind: Kind, random: Random): Phantom {
  const noise = (deviation: number) => () => random.normal(0, deviation)
  if (kind === 'CT') return { rows: 512, columns: 512, frames: 1, shades: paint(512, HEAD, noise(0.01)) }
  if (kind === 'MR') return { rows: 256, columns: 256, frames: 1, shades: paint(256, HEAD, noise(0.03)) }
  if (kind === 'CR') return { rows: 512, columns: 512, frames: 1, shades: paint(512, CHEST, noise(0.02)) }
  const [rows, columns, frames] = kind === 'US' ? [480, 640, 1] : [240, 320, 8]
  const shades = new Float32Array(rows * columns * frames)
  for (let frame = 0; frame < frames; frame++) shades.set(fan(random, rows, columns), frame * rows * columns)
  return { rows, columns, frames, shades }
}
