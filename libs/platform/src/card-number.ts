/** Issuer prefixes (ISO/IEC 7812-1) with the lengths that are in use, as [first, last] prefix of equal length. */
const ISSUED: readonly [first: number, last: number, lengths: readonly number[]][] = [
  [4, 4, [16, 19]],
  [51, 55, [16]],
  [2221, 2720, [16]],
  [34, 34, [15]],
  [37, 37, [15]],
  [300, 305, [14]],
  [3095, 3095, [14]],
  [36, 36, [14, 15, 16, 17, 18, 19]],
  [38, 39, [14, 16, 17, 18, 19]],
  [3528, 3589, [16, 17, 18, 19]],
  [6011, 6011, [16, 17, 18, 19]],
  [644, 649, [16, 17, 18, 19]],
  [65, 65, [16, 17, 18, 19]],
  [62, 62, [16, 17, 18, 19]],
  [81, 81, [16, 17, 18, 19]],
  [5018, 5018, [13, 14, 15, 16, 17, 18, 19]],
  [5020, 5038, [13, 14, 15, 16, 17, 18, 19]],
  [5893, 5893, [13, 14, 15, 16, 17, 18, 19]],
  [6304, 6304, [13, 14, 15, 16, 17, 18, 19]],
  [6759, 6763, [13, 14, 15, 16, 17, 18, 19]],
]
const SHORTEST = 13

/** The check of ISO/IEC 7812-1 annex B: doubling every second digit from the right, the digits add up to 0 modulo 10. */
function passesLuhn(digits: string): boolean {
  let sum = 0
  for (let at = 0; at < digits.length; at++) {
    const digit = Number(digits[digits.length - 1 - at])
    const doubled = at % 2 === 0 ? digit : 2 * digit
    sum += doubled > 9 ? doubled - 9 : doubled
  }
  return sum % 10 === 0
}

const isIssued = (digits: string): boolean =>
  ISSUED.some(([first, last, lengths]) => {
    const prefix = Number(digits.slice(0, String(first).length))
    return prefix >= first && prefix <= last && lengths.includes(digits.length)
  })

const GROUPED = [
  /(?<!\d)\d{13,19}(?!\d)/g,
  /(?<!\d)\d{4}([ .-])\d{4}\1\d{4}\1\d{4}(?:\1\d{1,3})?(?!\d)/g,
  /(?<!\d)\d{4}([ .-])\d{6}\1\d{4,5}(?!\d)/g,
]

/**
 * Whether a text holds what can only be meant as a payment card number: the digits of an issuer's range and length that
 * pass the check digit, alone or in the groups that are printed on cards. (PCI DSS 3.5: it must not be stored in clear.)
 */
export function holdsCardNumber(text: string): boolean {
  if (text.length < SHORTEST) return false
  const plain = text.normalize('NFKC')
  return GROUPED.some((form) =>
    (plain.match(form) ?? []).some((match) => {
      const digits = match.replace(/\D/g, '')
      return isIssued(digits) && passesLuhn(digits)
    }),
  )
}

/** For a field that is stored as it is: what a schema says of a card number in it. */
export const noCardNumber = [
  (text: string): boolean => !holdsCardNumber(text),
  'looks like a card number: send a token or an account number instead',
] as const
