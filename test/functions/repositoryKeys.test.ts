import { KeyClient } from '@azure/keyvault-keys';
import { SecretClient } from '@azure/keyvault-secrets';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeInstallation } from '../../lib/installation/index.ts';
import { openRepository } from '../../lib/repository/index.ts';
import { MemoryTelemetry } from '../../lib/telemetry/index.ts';
import { Lab, SUBSCRIPTION, WORKERS } from '../sessions/lab.ts';
import { openApi } from './api.ts';

const OWN = 'holdfast-repository-password';
let lab: Lab;
let call: Awaited<ReturnType<typeof openApi>>;
let secrets: SecretClient;
let vaultKeys: KeyClient;
const world = {
  installation: undefined as unknown as Lab['installation'],
  instances: {} as Lab['instances'],
};

beforeAll(async () => {
  lab = await Lab.start();
  Object.assign(world, { installation: lab.installation, instances: lab.instances });
  await lab.installation.repository();
  call = await openApi(world, ['repository', 'repositoryKeys']);
  const scope = `/subscriptions/${SUBSCRIPTION}/resourceGroups/${WORKERS}/providers/Microsoft.KeyVault/vaults/secrets`;
  const { simulator } = lab;
  const officer = simulator.addPrincipal({ name: 'officer' }).objectId;
  for (const role of ['Key Vault Secrets Officer', 'Key Vault Crypto Officer'])
    simulator.assignRole({ principalId: officer, role, scope });
  const url = lab.installation.settings.HOLDFAST_KEY_VAULT_URL;
  const options = { disableChallengeResourceVerification: true };
  secrets = new SecretClient(url, simulator.credential(officer), options);
  vaultKeys = new KeyClient(url, simulator.credential(officer), options);
  await secrets.setSecret('second-password', 'battery staple');
  await vaultKeys.createRsaKey('wrapping', { keySize: 2048 });
});
afterAll(() => lab.stop());

const slots = async () =>
  ((await call('GET repository/keys')).body as { value: { id: string; opensHere: boolean }[] }).value;
const ids = async () => (await slots()).map(({ id }) => id);
const opensWith = (password: string) =>
  openRepository({ meta: lab.meta, data: lab.data, unlock: { password } }).then(
    () => true,
    () => false,
  );
const refused = (code: string, words: RegExp) => ({
  error: expect.objectContaining({ code, message: expect.stringMatching(words) as string }) as object,
});

describe('key slots by the API', () => {
  it('are listed, added and removed, and nothing secret is answered, recorded or told', async () => {
    expect(await call('GET repository/keys')).toMatchObject({
      status: 200,
      body: { value: [{ id: 'password-1', kind: 'password', key: null, opensHere: true }] },
    });
    expect(
      await call('POST repository/keys', { id: 'second', passwordSecret: 'second-password' }),
    ).toMatchObject({
      status: 200,
      body: { id: 'second', kind: 'password', key: null, opensHere: false },
    });
    const added = await call('POST repository/keys', { id: 'vault', keyVaultKey: 'wrapping' });
    expect(added.body).toMatchObject({
      kind: 'keyVault',
      key: expect.stringMatching(/\/keys\/wrapping\/[0-9a-f]{32}$/) as string,
    });
    // An answer that was lost: the same again is no error and no change.
    expect((await call('POST repository/keys', { id: 'vault', keyVaultKey: 'wrapping' })).status).toBe(200);
    expect(await opensWith('battery staple')).toBe(true);
    const all = JSON.stringify([await call('GET repository'), await call('GET repository/keys')]);
    expect(await ids()).toEqual(['password-1', 'second', 'vault']);
    expect(all).not.toMatch(/salt|wrapped|nonce|staple/);

    const removed = await call('POST repository/keys/second/remove');
    expect(removed.body).toMatchObject({ value: [{ id: 'password-1' }, { id: 'vault' }] });
    expect(await opensWith('battery staple')).toBe(false);
    const told = lab.telemetry.events.filter(({ name }) => name === 'holdfast.repository.keysChanged');
    expect(told.map(({ fields }) => `${String(fields['change'])} ${String(fields['slot'])}`)).toEqual([
      'added second',
      'added vault',
      'removed second',
    ]);
    expect(JSON.stringify(lab.telemetry.events)).not.toContain('staple');
  });

  it('that would shut the service out stay, and so does the last one', async () => {
    const own = await call('POST repository/keys/password-1/remove');
    expect([own.status, own.body]).toEqual([
      409,
      refused('conflict', /Nothing was changed.*could not open.*Give it another way in first/),
    ]);
    await call('POST repository/keys/vault/remove');
    const last = await call('POST repository/keys/password-1/remove');
    expect([last.status, last.body]).toMatchObject([
      409,
      refused('conflict', /is the last one.*Add another/),
    ]);
    expect(await ids()).toEqual(['password-1']);
    await secrets.setSecret('unset', 'yet another');
    expect(await call('POST repository/keys/changePassword', { newSecret: 'unset' })).toMatchObject({
      status: 409,
      body: refused('conflict', /could not open/),
    });
    expect(await call('POST repository/keys/nothing-of-that-name/remove')).toMatchObject({ status: 200 });
    expect(await ids()).toEqual(['password-1']);
  });

  it('wrong names, ids and secrets are refused with what to do', async () => {
    for (const [body, target] of [
      [{ id: 'Big Letters', passwordSecret: 'a' }, 'id'],
      [{ id: 'x' }, 'passwordSecret'],
      [{ id: 'x', passwordSecret: 'a', keyVaultKey: 'b' }, 'passwordSecret'],
      [{ id: 'x', passwordSecret: 'a/b' }, 'passwordSecret'],
      [{ id: 'x', password: 'on the wire' }, ''],
    ] as const) {
      const answer = await call('POST repository/keys', body);
      expect([answer.status, (answer.body as { error: { target: string } }).error.target]).toEqual([
        400,
        target,
      ]);
      expect(JSON.stringify(answer)).not.toContain('on the wire');
    }
    expect(await call('POST repository/keys', { id: 'x', passwordSecret: 'missing' })).toMatchObject({
      status: 404,
      body: refused('notFound', /secret "missing".*does not exist. Create it/),
    });
    expect(
      await call('POST repository/keys', {
        id: 'x',
        passwordSecret: 'second-password',
        openWithSecret: 'second-password',
      }),
    ).toMatchObject({ status: 409, body: refused('wrongPassword', /does not open the repository/) });
    await call('POST repository/keys', { id: 'taken', passwordSecret: 'second-password' });
    expect(await call('POST repository/keys', { id: 'taken', keyVaultKey: 'wrapping' })).toMatchObject({
      status: 409,
      body: refused('alreadyExists', /"taken" already.*Choose another id/),
    });
    await call('POST repository/keys/taken/remove');
  });

  it("the service's own password is changed by a new version of its secret", async () => {
    const { properties } = await secrets.getSecret(OWN);
    await secrets.setSecret(OWN, 'the new one');
    // The repository that is open stays open; a service that starts now does not get in.
    const late = makeInstallation(lab.env, new MemoryTelemetry(), lab.clock);
    await expect(late.repository()).rejects.toMatchObject({ code: 'wrongPassword' });
    expect(
      await call('POST repository/keys/changePassword', { oldSecret: `${OWN}/${properties.version}` }),
    ).toMatchObject({ status: 200, body: { id: 'password-1' } });
    expect((await late.repository()).counter).toBeGreaterThan(1);
    expect((await slots())[0]).toMatchObject({ id: 'password-1', opensHere: true });
    expect(await call('POST repository/keys/changePassword', { oldSecret: 'unset' })).toMatchObject({
      status: 200,
    });
  });

  it('a Key Vault slot is wrapped anew after a rotation, with another way in when its old key is disabled', async () => {
    await call('POST repository/keys', { id: 'vault', keyVaultKey: 'wrapping' });
    // A service that opens its repository with the key.
    world.installation = makeInstallation(
      { ...lab.env, HOLDFAST_KEY_VAULT_KEY_NAME: 'wrapping' },
      new MemoryTelemetry(),
      lab.clock,
    );
    expect((await slots()).map(({ opensHere }) => opensHere)).toEqual([false, true]);
    expect(await call('POST repository/keys/vault/remove')).toMatchObject({
      status: 409,
      body: refused('conflict', /has no Key Vault slot/),
    });
    const before = await vaultKeys.getKey('wrapping');
    await vaultKeys.rotateKey('wrapping');
    expect(await call('POST repository/keys/vault/rewrap')).toMatchObject({ status: 200 });
    const shown = (await call('GET repository/keys')).body as { value: { key: string | null }[] };
    expect(shown.value[1]?.key).toBe((await vaultKeys.getKey('wrapping')).id);
    // The old version may go now.
    await vaultKeys.updateKeyProperties('wrapping', before.properties.version ?? '', { enabled: false });
    expect((await call('GET repository/keys')).status).toBe(200);

    const { properties } = await vaultKeys.getKey('wrapping');
    await vaultKeys.updateKeyProperties('wrapping', properties.version ?? '', { enabled: false });
    expect(await call('GET repository/keys')).toMatchObject({
      status: 501,
      body: refused('notConfigured', /wrapping.*is disabled. Enable it/),
    });
    await vaultKeys.rotateKey('wrapping');
    expect(await call('POST repository/keys/vault/rewrap', { openWithSecret: OWN })).toMatchObject({
      status: 200,
    });
    expect((await slots())[1]?.opensHere).toBe(true);

    await (await vaultKeys.beginDeleteKey('wrapping')).pollUntilDone();
    expect(await call('GET repository/keys')).toMatchObject({
      status: 404,
      body: refused('notFound', /does not exist. If it was deleted, recover it/),
    });
    await vaultKeys.createRsaKey('another', { keySize: 2048 });
    expect(
      await call('POST repository/keys/vault/rewrap', { openWithSecret: OWN, keyVaultKey: 'another' }),
    ).toMatchObject({ status: 200 });
    expect((await slots())[1]?.opensHere).toBe(true);
    expect(await call('POST repository/keys/password-1/rewrap')).toMatchObject({
      status: 404,
      body: refused('notFound', /no Key Vault slot "password-1"/),
    });
    world.installation = lab.installation;
  });
});
