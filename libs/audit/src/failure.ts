/**
 * Why something did not verify. `unreadable`: it is no export, no note, no key. `changed`: entries or hashes are not
 * what was recorded. `signature`: the key did not sign it. `history`: it is not what it was when an earlier checkpoint
 * was signed.
 */
export type FailureKind = 'unreadable' | 'changed' | 'signature' | 'history'

/** Thrown while verifying; the message is for people and names the place, `index` is the entry where one is known. */
export class VerificationFailure extends Error {
  override readonly name = 'VerificationFailure'
  constructor(
    readonly kind: FailureKind,
    message: string,
    readonly index?: number,
  ) {
    super(message)
  }
}
