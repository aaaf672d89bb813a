/** Options of PS3.15 E.3 that can be taken beside the Basic Profile, and their letter in our tables. */
export const OPTIONS = {
  'retain-safe-private': 'S',
  'retain-uids': 'U',
  'retain-device-identity': 'D',
  'retain-institution-identity': 'I',
  'retain-patient-characteristics': 'P',
  'retain-longitudinal-full-dates': 'F',
  'retain-longitudinal-modified-dates': 'M',
  'clean-descriptors': 'C',
  'clean-structured-content': 'T',
  'clean-graphics': 'G',
} as const
export type Option = keyof typeof OPTIONS
export type OptionLetter = (typeof OPTIONS)[Option]

/** Options on pixels (E.3.1, E.3.2): done by whoever looks at them, declared here. */
export const PIXEL_OPTIONS = ['clean-pixel-data', 'clean-recognizable-visual-features'] as const
export type PixelOption = (typeof PIXEL_OPTIONS)[number]

export const OPTION_NAMES = Object.keys(OPTIONS) as Option[]

const EXCLUDING: readonly (readonly [Option, Option])[] = [
  ['retain-longitudinal-full-dates', 'retain-longitudinal-modified-dates'],
]

/** Why these options cannot be taken together; undefined where they can. */
export function contradiction(options: readonly Option[]): string | undefined {
  const unknown = options.find((option) => !(option in OPTIONS))
  if (unknown !== undefined) return `"${unknown}" is not an option of PS3.15 E.3`
  const pair = EXCLUDING.find((both) => both.every((option) => options.includes(option)))
  return pair && `${pair[0]} and ${pair[1]} exclude each other: dates are either kept or moved`
}
