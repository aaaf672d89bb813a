import { latLngToCell } from 'h3-js'

/** Resolution of the places that risk is counted for: cells of about 250 square kilometres (H3). */
const RESOLUTION = 5

/** H3 cell of a position in degrees. */
export const cellOf = ({ latitude, longitude }: { latitude: number; longitude: number }): string =>
  latLngToCell(latitude, longitude, RESOLUTION)
