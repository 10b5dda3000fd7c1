import type { TokenCredential } from '@azure/core-auth';
import { SecretClient } from '@azure/keyvault-secrets';
import { HoldfastError } from '../model/index.ts';
import type { CallOptions } from './connection.ts';
import { azureError, transportError } from './errors.ts';

/** Where the installation's secrets are: the repository's password, the key that seals tags. */
export interface KeyVault {
  /**
   * A secret: its newest version, or the one that is named as `<name>/<version>`. `notFound` when it is missing, `notConfigured` when it is disabled, expired or empty, `accessDenied`
   * when the identity may not read it, `unavailable` or `timeout` when the vault did not answer.
   */
  getSecret(name: string, options?: CallOptions): Promise<string>;
}

const TIMEOUT_MS = 30_000;

/** Azure Key Vault. `vaultUrl`: `https://NAME.vault.azure.net`, or a local run's. */
export class KeyVaultSecrets implements KeyVault {
  readonly #client: SecretClient;
  readonly #url: string;

  constructor(vaultUrl: string, credential: TokenCredential, options: { maxRetries?: number } = {}) {
    this.#url = vaultUrl;
    this.#client = new SecretClient(vaultUrl, credential, {
      // The SDK compares the vault's host with the domain of the token's audience, which no address of a local run matches.
      disableChallengeResourceVerification: !/\.vault\.(azure\.net|azure\.cn|usgovcloudapi\.net)$/i.test(
        new URL(vaultUrl).hostname,
      ),
      retryOptions: { maxRetries: options.maxRetries ?? 3, maxRetryDelayInMs: 5_000 },
    });
  }

  async getSecret(name: string, options?: CallOptions): Promise<string> {
    const limit = AbortSignal.timeout(TIMEOUT_MS);
    const abortSignal = options?.signal ? AbortSignal.any([limit, options.signal]) : limit;
    const [only = '', version] = name.split('/');
    let value: string | undefined;
    try {
      ({ value } = await this.#client.getSecret(only, { abortSignal, ...(version ? { version } : {}) }));
    } catch (error) {
      if (options?.signal?.aborted) throw options.signal.reason;
      throw this.#translate(name, error);
    }
    if (!value) throw this.#refuse('notConfigured', name, 'is empty. Set a value.');
    return value;
  }

  #translate(name: string, error: unknown): HoldfastError {
    const { statusCode, code, message } = error as { statusCode?: number; code?: string; message?: string };
    if (statusCode === undefined) return transportError(`read secret "${name}"`, name, error);
    if (statusCode === 404) return this.#refuse('notFound', name, 'does not exist. Create it.');
    if (
      statusCode === 403 &&
      /disabled|expired|not yet valid|SecretDisabled|SecretExpired/i.test(`${code} ${message}`)
    ) {
      return this.#refuse(
        'notConfigured',
        name,
        'is disabled or outside its dates. Enable it, or set a new version.',
      );
    }
    if (statusCode === 401 || statusCode === 403) {
      return this.#refuse(
        'accessDenied',
        name,
        'may not be read by this identity. Give it the role Key Vault Secrets User; allow it in the vault’s firewall.',
      );
    }
    return azureError(`read secret "${name}"`, name, { status: statusCode, code, message });
  }

  #refuse(code: 'notFound' | 'notConfigured' | 'accessDenied', name: string, why: string): HoldfastError {
    return new HoldfastError(code, `The secret "${name}" in ${this.#url} ${why}`, { target: name });
  }
}
