import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { KeyVaultSecrets } from '../../lib/azure/keyVault.ts';
import { isHoldfastError } from '../../lib/model/index.ts';
import { fakeCredential } from '../support/azurite.ts';
import { armError, ScriptedArm } from './scriptedArm.ts';

// A vault speaks JSON and the same error envelope over HTTPS.
const vault = new ScriptedArm();
beforeAll(() => vault.start());
beforeEach(() => vault.reset());
afterAll(() => vault.stop());

const challenge = {
  status: 401,
  headers: {
    'www-authenticate':
      'Bearer authorization="https://login.microsoftonline.com/t", resource="https://vault.azure.net"',
  },
  body: { error: { code: 'Unauthorized', message: 'no token' } },
};
const serve = (reply: { status: number; body?: unknown }) =>
  vault.on('GET', /^\/secrets\/password\/?$/, ({ headers }) =>
    headers.authorization === undefined ? challenge : reply,
  );
const read = (name = 'password') => new KeyVaultSecrets(vault.base, fakeCredential()).getSecret(name);

describe('a secret of a vault', () => {
  it('is read in its newest version, with a token for the vault’s audience', async () => {
    serve({
      status: 200,
      body: { value: 'correct horse', id: `${vault.base}/secrets/password/1`, attributes: { enabled: true } },
    });
    expect(await read()).toBe('correct horse');
  });

  it.each([
    [
      armError(404, 'SecretNotFound', 'A secret with (name/id) password was not found in this key vault.'),
      'notFound',
    ],
    [armError(403, 'Forbidden', 'Operation get is not allowed on a disabled secret.'), 'notConfigured'],
    [armError(403, 'Forbidden', 'Operation get is not allowed on an expired secret.'), 'notConfigured'],
    [armError(403, 'Forbidden', 'Caller is not authorized to perform action on resource.'), 'accessDenied'],
    [{ status: 200, body: { value: '', id: 'https://x/secrets/password/1' } }, 'notConfigured'],
    [armError(400, 'BadParameter'), 'invalidInput'],
  ] as const)('that cannot be had says why: %j', async (reply, code) => {
    serve(reply);
    const error: unknown = await read().catch((caught: unknown) => caught);
    expect(isHoldfastError(error, code)).toBe(true);
    expect(error).toMatchObject({ target: 'password' });
  });

  it('behind a vault that is not there is unavailable', async () => {
    const nowhere = new KeyVaultSecrets('https://127.0.0.1:1', fakeCredential(), { maxRetries: 0 });
    const error: unknown = await nowhere.getSecret('password').catch((caught: unknown) => caught);
    expect(error).toMatchObject({ code: 'unavailable', retryable: true });
  });
});
