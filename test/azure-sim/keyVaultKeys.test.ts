import { CryptographyClient, KeyClient } from '@azure/keyvault-keys';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { trustAuthority } from '../support/azurite.ts';
import { groupScope, Rig, refused, SUBSCRIPTION } from './rig.ts';

let rig: Rig;
let vault: { id: string; url: string };
beforeAll(async () => {
  rig = await Rig.start();
  trustAuthority(rig.simulator.tls.caPem);
  vault = rig.simulator.addKeyVault({ subscription: SUBSCRIPTION, group: 'protected', name: 'kv' });
});
afterAll(() => rig.stop());

const OPTIONS = { disableChallengeResourceVerification: true, retryOptions: { maxRetries: 0 } };
const client = (principal: string, url = vault.url) =>
  new KeyClient(url, rig.simulator.credential(principal), OPTIONS);
const cipher = (principal: string, id: string) =>
  new CryptographyClient(id, rig.simulator.credential(principal), OPTIONS);
const officer = () => rig.principal('officer', 'Key Vault Crypto Officer', vault.id);
const SECRET = Buffer.alloc(32, 7);

describe('keys of a vault, through the official SDK', () => {
  it('wrap what only the same version unwraps', async () => {
    const who = officer();
    const first = await client(who).createRsaKey('wrapping', { keySize: 2048 });
    const second = await client(who).rotateKey('wrapping');
    expect(second.id).not.toBe(first.id);
    const { result } = await cipher(who, first.id ?? '').wrapKey('RSA-OAEP-256', SECRET);
    expect(result).toHaveLength(256);
    expect(Buffer.from((await cipher(who, first.id ?? '').unwrapKey('RSA-OAEP-256', result)).result)).toEqual(
      SECRET,
    );
    expect(await refused(cipher(who, second.id ?? '').unwrapKey('RSA-OAEP-256', result))).toMatchObject({
      status: 400,
      code: 'BadParameter',
    });
    expect(await refused(cipher(who, first.id ?? '').unwrapKey('RSA-OAEP', result))).toMatchObject({
      status: 400,
    });
    const versions: string[] = [];
    for await (const { id } of client(who).listPropertiesOfKeyVersions('wrapping')) versions.push(id ?? '');
    expect(versions).toEqual([first.id, second.id]);
    expect((await client(who).getKey('wrapping')).id).toBe(second.id);
    // The public half is what local cryptography gets; the private one stays.
    expect((await client(who).getKey('wrapping')).key?.d).toBeUndefined();
  });

  it('are refused while disabled, gone while deleted, and back when recovered', async () => {
    const who = officer();
    const { id = '', properties } = await client(who).createRsaKey('states');
    const { result } = await cipher(who, id).wrapKey('RSA-OAEP-256', SECRET);
    await client(who).updateKeyProperties('states', properties.version ?? '', { enabled: false });
    expect(await refused(cipher(who, id).unwrapKey('RSA-OAEP-256', result))).toMatchObject({
      status: 403,
      message: expect.stringContaining('disabled'),
    });
    await client(who).updateKeyProperties('states', properties.version ?? '', { enabled: true });
    await (await client(who).beginDeleteKey('states')).pollUntilDone();
    expect(await refused(cipher(who, id).unwrapKey('RSA-OAEP-256', result))).toMatchObject({
      status: 404,
      code: 'KeyNotFound',
    });
    expect(await refused(client(who).createRsaKey('states'))).toMatchObject({ status: 409 });
    await (await client(who).beginRecoverDeletedKey('states')).pollUntilDone();
    expect(Buffer.from((await cipher(who, id).unwrapKey('RSA-OAEP-256', result)).result)).toEqual(SECRET);
    await (await client(who).beginDeleteKey('states')).pollUntilDone();
    await client(who).purgeDeletedKey('states');
    expect(await refused(client(who).getDeletedKey('states'))).toMatchObject({ status: 404 });
  });

  it('need the roles of Key Vault, each operation its own', async () => {
    const { id = '' } = await client(officer()).createRsaKey('roles');
    const user = rig.principal('user', 'Key Vault Crypto Service Encryption User', `${vault.id}/keys/roles`);
    const { result } = await cipher(user, id).wrapKey('RSA-OAEP-256', SECRET);
    expect(Buffer.from((await cipher(user, id).unwrapKey('RSA-OAEP-256', result)).result)).toEqual(SECRET);
    expect(await refused(client(user).createRsaKey('roles'))).toMatchObject({ status: 403 });
    const nobody = rig.principal('nobody', 'Reader', groupScope());
    expect(await refused(cipher(nobody, id).unwrapKey('RSA-OAEP-256', result))).toMatchObject({
      status: 403,
      message: expect.stringContaining("Action: 'Microsoft.KeyVault/vaults/keys/unwrap/action'"),
    });
  });

  it('unwrap after their expiry and do not wrap any more', async () => {
    const who = officer();
    const { id = '', properties } = await client(who).createRsaKey('dated');
    const raw = async (verb: string, value: string) => {
      const { token } = await rig.simulator.credential(who).getToken('https://vault.azure.net/.default');
      const response = await fetch(`${id}/${verb}?api-version=7.6`, {
        method: 'POST',
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        body: JSON.stringify({ alg: 'RSA-OAEP-256', value }),
      });
      return { status: response.status, body: (await response.json()) as { value: string } };
    };
    const wrapped = await raw('wrapkey', SECRET.toString('base64url'));
    await client(who).updateKeyProperties('dated', properties.version ?? '', {
      expiresOn: new Date(rig.simulator.now().getTime() - 60_000),
    });
    expect(await raw('wrapkey', SECRET.toString('base64url'))).toMatchObject({ status: 403 });
    const back = await raw('unwrapkey', wrapped.body.value);
    expect(Buffer.from(back.body.value, 'base64url')).toEqual(SECRET);
  });

  it('outlast a restart of the simulator', async () => {
    const who = officer();
    const { id = '' } = await client(who).createRsaKey('lasting');
    const { result } = await cipher(who, id).wrapKey('RSA-OAEP-256', SECRET);
    await rig.restart();
    const again = rig.simulator.addKeyVault({ subscription: SUBSCRIPTION, group: 'protected', name: 'kv' });
    const key = await client(who, again.url).getKey('lasting');
    expect(new URL(key.id ?? '').pathname).toBe(new URL(id).pathname);
    expect(Buffer.from((await cipher(who, key.id ?? '').unwrapKey('RSA-OAEP-256', result)).result)).toEqual(
      SECRET,
    );
  });
});
