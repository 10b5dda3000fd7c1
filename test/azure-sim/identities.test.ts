import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { SecretClient } from '@azure/keyvault-secrets';
import { createRemoteJWKSet, customFetch, decodeJwt, jwtVerify } from 'jose';
import { Agent, fetch as undiciFetch } from 'undici';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { GROUP, groupScope, LOCATION, Rig, refused, SUBSCRIPTION } from './rig.ts';

const run = promisify(execFile);

describe('identities, tokens and key vault', () => {
  let rig: Rig;
  beforeAll(async () => {
    rig = await Rig.start();
  });
  afterAll(() => rig.stop());

  /** A token as a process with these settings gets it from @azure/identity. */
  const tokenOf = async (env: Record<string, string>, scope: string, options = '{}') => {
    const script = `import { ManagedIdentityCredential } from '@azure/identity';
      const credential = new ManagedIdentityCredential(${options});
      console.log((await credential.getToken(${JSON.stringify(scope)})).token);`;
    const { stdout } = await run(process.execPath, ['--input-type=module', '-e', script], {
      env: { PATH: process.env.PATH ?? '', ...env },
    });
    return decodeJwt(stdout.trim());
  };

  it('gives an app the tokens of its identities at the App Service endpoint', async () => {
    const { objectId } = rig.simulator.addPrincipal({ name: 'app' });
    const user = rig.simulator.addUserAssignedIdentity({
      subscription: SUBSCRIPTION,
      group: GROUP,
      name: 'uai',
    });
    const { header } = rig.simulator.registerApp({
      name: 'app',
      systemAssigned: objectId,
      userAssigned: [user.objectId],
    });
    const env = { IDENTITY_ENDPOINT: rig.simulator.identityEndpoint, IDENTITY_HEADER: header };
    const now = Math.floor(Date.now() / 1000);
    const claims = await tokenOf(env, 'https://storage.azure.com/.default');
    expect(claims).toMatchObject({
      oid: objectId,
      aud: 'https://storage.azure.com',
      tid: rig.simulator.tenantId,
      iss: `https://sts.windows.net/${rig.simulator.tenantId}/`,
    });
    expect(claims.nbf).toBeLessThanOrEqual(now);
    expect(claims.exp).toBeGreaterThan(now + 3600);
    expect(
      await tokenOf(
        env,
        'https://management.azure.com/.default',
        JSON.stringify({ clientId: user.clientId }),
      ),
    ).toMatchObject({ oid: user.objectId });
    await expect(
      tokenOf(
        { ...env, IDENTITY_HEADER: 'wrong' },
        'https://storage.azure.com/.default',
        '{ retryOptions: { maxRetries: 0 } }',
      ),
    ).rejects.toThrow(/Authentication failed/);
  });

  it('gives a machine its own tokens at its metadata service, and nothing without the header', async () => {
    const machine = await rig.simulator.addVirtualMachine({
      subscription: SUBSCRIPTION,
      group: GROUP,
      name: 'vm',
      location: LOCATION,
      osDisk: { sizeBytes: 2 ** 30 },
      systemAssignedIdentity: true,
    });
    const { url } = await rig.simulator.metadataUrl({ machineId: machine.id });
    const claims = await tokenOf({ AZURE_POD_IDENTITY_AUTHORITY_HOST: url }, 'api://holdfast/.default');
    expect(claims).toMatchObject({
      oid: machine.identity?.principalId,
      aud: 'api://holdfast',
      xms_mirid: machine.id,
    });
    expect((await fetch(`${url}/metadata/instance?api-version=2021-02-01`)).status).toBe(400);
    const metadata = (path: string) => fetch(`${url}${path}`, { headers: { Metadata: 'true' } });
    expect(
      await (await metadata('/metadata/instance/compute/vmId?api-version=2021-02-01&format=text')).text(),
    ).toBe(machine.vmId);
    expect(
      (
        await metadata(
          '/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https://nowhere.example',
        )
      ).status,
    ).toBe(400);
    rig.simulator.scheduleEvent({
      machineId: machine.id,
      event: {
        EventId: '1',
        EventType: 'Preempt',
        ResourceType: 'VirtualMachine',
        Resources: ['vm'],
        EventStatus: 'Scheduled',
        NotBefore: '',
        Description: '',
        EventSource: 'Platform',
        DurationInSeconds: -1,
      },
    });
    expect(await (await metadata('/metadata/scheduledevents?api-version=2020-07-01')).json()).toMatchObject({
      Events: [{ EventType: 'Preempt' }],
    });
    expect(
      rig.simulator
        .requests({ surface: 'imds' })
        .every(({ virtualMachine }) => virtualMachine === machine.id),
    ).toBe(true);
  });

  it('publishes keys with which its tokens verify, the same after a restart', async () => {
    const { token } = await rig.simulator.issueToken({ principalId: rig.owner, resource: 'api://holdfast' });
    const verify = async () => {
      const dispatcher = new Agent({ connect: { ca: rig.simulator.tls.caPem } });
      const get = (url: string) => undiciFetch(url, { dispatcher });
      const discovery = (await (
        await get(`${rig.simulator.url}/${rig.simulator.tenantId}/v2.0/.well-known/openid-configuration`)
      ).json()) as { jwks_uri: string; issuer: string };
      const keys = createRemoteJWKSet(new URL(discovery.jwks_uri), {
        [customFetch]: (url: string) => get(url),
      });
      const { payload } = await jwtVerify(token, keys, {
        issuer: discovery.issuer,
        audience: 'api://holdfast',
      });
      return payload.oid;
    };
    expect(await verify()).toBe(rig.owner);
    await rig.restart();
    expect(await verify()).toBe(rig.owner);
  });

  it('keeps secrets: versions, disabling, deletion, and the roles of Key Vault', async () => {
    const vault = rig.simulator.addKeyVault({ subscription: SUBSCRIPTION, group: GROUP, name: 'kv' });
    const client = (principal: string) =>
      new SecretClient(vault.url, rig.simulator.credential(principal), {
        disableChallengeResourceVerification: true,
        tlsOptions: { ca: rig.simulator.tls.caPem },
      });
    const officer = client(rig.principal('officer', 'Key Vault Secrets Officer', vault.id));
    const first = await officer.setSecret('password', 'one', { contentType: 'text/plain' });
    const second = await officer.setSecret('password', 'two');
    expect(first.name).toBe('password');
    const user = client(rig.principal('user', 'Key Vault Secrets User', `${vault.id}/secrets/password`));
    expect((await user.getSecret('password')).value).toBe('two');
    expect((await user.getSecret('password', { version: first.properties.version as string })).value).toBe(
      'one',
    );
    expect(await refused(user.setSecret('password', 'three'))).toMatchObject({
      status: 403,
      code: 'Forbidden',
    });
    expect(await refused(client(rig.owner).getSecret('password'))).toMatchObject({
      status: 403,
      message: expect.stringContaining("Action: 'Microsoft.KeyVault/vaults/secrets/getSecret/action'"),
    });
    expect(await refused(officer.getSecret('missing'))).toMatchObject({
      status: 404,
      code: 'SecretNotFound',
    });
    const versions: (string | undefined)[] = [];
    for await (const version of officer.listPropertiesOfSecretVersions('password'))
      versions.push(version.version);
    expect(versions).toEqual([first.properties.version, second.properties.version]);
    await officer.updateSecretProperties('password', first.properties.version as string, { enabled: false });
    expect(
      await refused(user.getSecret('password', { version: first.properties.version as string })),
    ).toMatchObject({ status: 403 });
    for (let n = 0; n < 30; n += 1) await officer.setSecret(`s-${n}`, 'x');
    let count = 0;
    for await (const page of officer.listPropertiesOfSecrets().byPage({ maxPageSize: 7 }))
      count += page.length;
    expect(count).toBe(31);
    await (await officer.beginDeleteSecret('password')).pollUntilDone();
    expect(await refused(user.getSecret('password'))).toMatchObject({ status: 404 });
    await rig.restart();
    const reopened = rig.simulator.addKeyVault({ subscription: SUBSCRIPTION, group: GROUP, name: 'kv' });
    const again = new SecretClient(
      reopened.url,
      rig.simulator.credential(rig.principal('late', 'Key Vault Secrets Officer', groupScope())),
      {
        disableChallengeResourceVerification: true,
        tlsOptions: { ca: rig.simulator.tls.caPem },
      },
    );
    await (await again.beginRecoverDeletedSecret('password', { intervalInMs: 10 })).pollUntilDone();
    expect((await again.getSecret('password')).value).toBe('two');
  });
});
