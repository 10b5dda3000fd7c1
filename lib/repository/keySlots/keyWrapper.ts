/**
 * A service that holds keys which never leave it, and wraps and unwraps small secrets with them: Azure Key Vault, or a fake.
 *
 * Contract
 * - `key` names a key, with or without its version: `https://<vault>/keys/<name>[/<version>]`. A descriptor may be forged, so
 *   an implementation sends nothing to a vault that it was not made for: `accessDenied`.
 * - `wrap` uses the newest version where none is named, and always answers with the version that it used.
 * - `unwrap` needs the version that wrapped. It never answers with bytes that were not wrapped by this key: `corruptObject`.
 * - Errors name the key, and say what to do: `notFound` (deleted, or never there), `notConfigured` (disabled, expired, not yet
 *   valid, of a type that cannot wrap), `accessDenied`, `throttled`, `unavailable`, `timeout`.
 * - Every call may be repeated.
 */
export interface KeyWrapper {
  wrap(key: string, plain: Uint8Array): Promise<WrappedKey>;
  unwrap(key: string, wrapped: Uint8Array): Promise<Buffer>;
}

export interface WrappedKey {
  /** The key with the version that wrapped. */
  readonly key: string;
  /** RSA-OAEP-256: as long as the key's modulus. */
  readonly wrapped: Buffer;
}
