/** Reads standard base64 (RFC 4648 section 4); undefined for any text that encoding would not have written. */
export function decodeBase64(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64')
  return bytes.toString('base64') === text ? bytes : undefined
}
