/** Active currency codes of ISO 4217 (list one, 2026). */
const CODES =
  'AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CLP CNY COP CRC CUP ' +
  'CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR IQD IRR ISK JMD ' +
  'JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN ' +
  'NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN ' +
  'SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VES VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG'

const NO_DECIMALS = 'BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF'.split(' ')
const THREE_DECIMALS = 'BHD IQD JOD KWD LYD OMR TND'.split(' ')

export const CURRENCIES: readonly string[] = CODES.split(' ')

/** Digits after the decimal point of a currency's minor unit (ISO 4217). */
export function minorUnitDigits(currency: string): number {
  if (NO_DECIMALS.includes(currency)) return 0
  return THREE_DECIMALS.includes(currency) ? 3 : 2
}

const AMOUNT = /^(0|[1-9]\d{0,11})(?:\.(\d{1,2}))?$/

/**
 * An amount in integer minor units of its currency, exactly: 12.34 USD is 1234n, 500 JPY is 500n. Undefined where
 * the text is no plain decimal of at most 12 digits and 2 decimals, or has more decimals than the currency.
 */
export function toMinorUnits(amount: string, currency: string): bigint | undefined {
  const match = AMOUNT.exec(amount)
  if (!match) return undefined
  const digits = minorUnitDigits(currency)
  const fraction = match[2] ?? ''
  if (fraction.length > digits && Number(fraction) !== 0) return undefined
  return BigInt(match[1] + fraction.slice(0, digits).padEnd(digits, '0'))
}
