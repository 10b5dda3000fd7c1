import type { TokenCredential } from '@azure/core-auth';
import { CryptographyClient, type CryptographyClientOptions, KeyClient } from '@azure/keyvault-keys';
import { HoldfastError, isHoldfastError } from '../model/index.ts';
import type { KeyWrapper, WrappedKey } from '../repository/keySlots/index.ts';
import { azureError, transportError } from './errors.ts';

const ALGORITHM = 'RSA-OAEP-256';
const TIMEOUT_MS = 30_000;
const ROLE = 'Key Vault Crypto Service Encryption User';

type Verb = 'look up' | 'wrap with' | 'unwrap with';

/**
 * Keys of one Azure Key Vault. The identity needs keys/read, wrap and unwrap: the role Key Vault Crypto Service Encryption
 * User. The secret parts never leave the vault; what travels is a random key of 32 bytes, over TLS.
 */
export class KeyVaultKeys implements KeyWrapper {
  readonly #url: string;
  readonly #credential: TokenCredential;
  readonly #options: CryptographyClientOptions;
  readonly #keys: KeyClient;

  /** `vaultUrl`: `https://NAME.vault.azure.net`, or a local run's. */
  constructor(vaultUrl: string, credential: TokenCredential, options: { maxRetries?: number } = {}) {
    this.#url = vaultUrl.replace(/\/+$/, '');
    this.#credential = credential;
    this.#options = {
      // The SDK compares the vault's host with the domain of the token's audience, which no address of a local run matches.
      disableChallengeResourceVerification: !/\.vault\.(azure\.net|azure\.cn|usgovcloudapi\.net)$/i.test(
        new URL(vaultUrl).hostname,
      ),
      retryOptions: { maxRetries: options.maxRetries ?? 3, maxRetryDelayInMs: 5_000 },
    };
    this.#keys = new KeyClient(this.#url, credential, this.#options);
  }

  /** Identifier of a key of this vault, without a version: what `wrap` takes. */
  keyId(name: string): string {
    return `${new URL(this.#url).origin}/keys/${name}`;
  }

  async wrap(key: string, plain: Uint8Array): Promise<WrappedKey> {
    const { name, version } = this.#parse(key);
    const id = await this.#call('look up', key, async (abortSignal) => {
      const found = await this.#keys.getKey(name, { abortSignal, ...(version ? { version } : {}) });
      if (found.id && found.keyType?.startsWith('RSA')) return found.id;
      throw this.#refuse('notConfigured', key, 'is not an RSA key. Name one of type RSA or RSA-HSM.');
    });
    const { result } = await this.#call('wrap with', id, (abortSignal) =>
      this.#cipher(id).wrapKey(ALGORITHM, plain, { abortSignal }),
    );
    return { key: id, wrapped: Buffer.from(result) };
  }

  async unwrap(key: string, wrapped: Uint8Array): Promise<Buffer> {
    this.#parse(key);
    const { result } = await this.#call('unwrap with', key, (abortSignal) =>
      this.#cipher(key).unwrapKey(ALGORITHM, wrapped, { abortSignal }),
    );
    return Buffer.from(result);
  }

  #cipher(key: string): CryptographyClient {
    return new CryptographyClient(key, this.#credential, this.#options);
  }

  /** A key's identifier may come from a forged descriptor, and the token goes wherever it points. */
  #parse(key: string): { name: string; version: string | undefined } {
    const [, name, version] =
      /^https:\/\/[^/?#@]+\/keys\/([0-9A-Za-z-]{1,127})(?:\/([0-9A-Za-z]+))?$/.exec(key) ?? [];
    if (name === undefined) {
      throw new HoldfastError(
        'invalidInput',
        `"${key}" does not name a Key Vault key: https://VAULT.vault.azure.net/keys/NAME, with a version or without.`,
        { target: key },
      );
    }
    if (new URL(key).origin !== new URL(this.#url).origin) {
      throw new HoldfastError(
        'accessDenied',
        `The key ${key} is not in this installation's vault (${this.#url}); nothing was sent there. If the vault was changed on purpose, set the vault's address.`,
        { target: key },
      );
    }
    return { name, version };
  }

  async #call<T>(verb: Verb, key: string, act: (signal: AbortSignal) => Promise<T>): Promise<T> {
    try {
      return await act(AbortSignal.timeout(TIMEOUT_MS));
    } catch (error) {
      throw this.#translate(verb, key, error);
    }
  }

  #translate(verb: Verb, key: string, error: unknown): HoldfastError {
    if (isHoldfastError(error)) return error;
    const {
      statusCode,
      code,
      message = '',
    } = error as { statusCode?: number; code?: string; message?: string };
    const said = `${code} ${message}`;
    // The client looks at dates and permitted operations by itself, before it asks.
    if (/\bexpired\b|can't be used before|not yet valid|KeyExpired/i.test(said))
      return this.#refuse(
        'notConfigured',
        key,
        'is outside its dates. Set a later expiry date, or rotate it and wrap the slot again.',
      );
    if (/disabled/i.test(said) && statusCode !== 401)
      return this.#refuse(
        'notConfigured',
        key,
        `is disabled. Enable it: what it wrapped opens with this version only.`,
      );
    if (/Operation \w+ is not (supported|permitted)|KeyOperationForbidden/i.test(said))
      return this.#refuse(
        'notConfigured',
        key,
        'does not permit wrapKey and unwrapKey. Allow both operations on it.',
      );
    if (statusCode === undefined) return transportError(`${verb} key "${key}"`, key, error);
    if (statusCode === 404)
      return this.#refuse(
        'notFound',
        key,
        'does not exist. If it was deleted, recover it while the vault keeps it: once it is purged, only another key slot opens the repository.',
      );
    if (statusCode === 401 || statusCode === 403)
      return this.#refuse(
        'accessDenied',
        key,
        `may not be used by this identity. Give it the role ${ROLE}; allow it in the vault’s firewall.`,
      );
    if (statusCode === 400 && verb === 'unwrap with')
      return this.#refuse(
        'corruptObject',
        key,
        'did not wrap what the key slot holds: the slot is damaged or forged.',
      );
    return azureError(`${verb} key "${key}"`, key, { status: statusCode, code, message });
  }

  #refuse(
    code: 'notFound' | 'notConfigured' | 'accessDenied' | 'corruptObject',
    key: string,
    why: string,
  ): HoldfastError {
    return new HoldfastError(code, `The key ${key} in Key Vault ${why}`, { target: key });
  }
}
