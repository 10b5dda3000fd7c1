import { SecretClient } from '@azure/keyvault-secrets';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { AzureBlobStore } from '../../lib/azure/index.ts';
import { makeInstallation } from '../../lib/installation/index.ts';
import { type Machine, protectionSchema, type Session } from '../../lib/model/index.ts';
import { readOwner } from '../../lib/repository/index.ts';
import { requestBackup } from '../../lib/sessions/index.ts';
import { MemoryTelemetry } from '../../lib/telemetry/index.ts';
import { Lab, SUBSCRIPTION, WORKERS } from '../sessions/lab.ts';
import { openApi } from './api.ts';

/** Two installations and one repository: the lab's, which founds it, and another one, which has tables of its own. */
let lab: Lab;
let call: Awaited<ReturnType<typeof openApi>>;
let machine: Machine;
let secrets: SecretClient;
const other = (settings: Record<string, string> = {}) =>
  makeInstallation(
    {
      ...lab.env,
      HOLDFAST_INSTALLATION_ID: 'other',
      HOLDFAST_TABLE_ENDPOINT: lab.azurite.tableUrl('holdfastrepo'),
      ...settings,
    },
    new MemoryTelemetry(),
    lab.clock,
  );
const world = {
  installation: undefined as unknown as Lab['installation'],
  instances: {} as Lab['instances'],
};

beforeAll(async () => {
  lab = await Lab.start();
  machine = await lab.machine('vm1');
  await lab.backUp(machine);
  Object.assign(world, { installation: other(), instances: lab.instances });
  call = await openApi(world, ['repository', 'repositoryKeys', 'repositories']);
  const scope = `/subscriptions/${SUBSCRIPTION}/resourceGroups/${WORKERS}/providers/Microsoft.KeyVault/vaults/secrets`;
  const officer = lab.simulator.addPrincipal({ name: 'officer' }).objectId;
  lab.simulator.assignRole({ principalId: officer, role: 'Key Vault Secrets Officer', scope });
  secrets = new SecretClient(
    lab.installation.settings.HOLDFAST_KEY_VAULT_URL,
    lab.simulator.credential(officer),
    { disableChallengeResourceVerification: true },
  );
});
afterAll(() => lab.stop());

const owner = async () => (await readOwner(await lab.installation.repository()))?.installation;
const message = (words: RegExp) => ({ error: { message: expect.stringMatching(words) as string } });
/** The session that an adoption starts, run by the installation that adopted. */
async function rescanned(answer: { body: unknown }): Promise<Session> {
  const { id } = answer.body as { id: string };
  const lent = lab.installation;
  Object.assign(lab, { installation: world.installation });
  try {
    await lab.run();
    return await lab.session(id);
  } finally {
    Object.assign(lab, { installation: lent });
  }
}

it('a repository of another installation is refused with its owner and when it was last seen, and nothing changes', async () => {
  const refused = await call('GET repository');
  expect(refused).toMatchObject({
    status: 409,
    body: message(
      /belongs to installation lab since \S+, last seen \d{4}-.*Take it over from lab explicitly/,
    ),
  });
  expect(await call('POST repository/adopt')).toMatchObject({
    status: 409,
    body: { error: { code: 'notOwner' } },
  });
  expect(await call('POST repository/adopt', { takeOver: 'somebody' })).toMatchObject({
    status: 409,
    body: message(/somebody, which does not own it/),
  });
  expect(await call('POST repository/adopt', { dryRun: true })).toMatchObject({
    status: 200,
    body: {
      mode: 'encrypted',
      owner: { installation: 'lab', seenAt: expect.stringMatching(/^\d{4}-/) as string },
      needsTakeOver: true,
      replaces: null,
    },
  });
  expect(await owner()).toBe('lab');
});

it('taken over by name it is ours, with its restore points, and the other installation is fenced', async () => {
  const started = await call('POST repository/adopt', { takeOver: 'lab' });
  expect(started.status).toBe(202);
  expect(await rescanned(started)).toMatchObject({ kind: 'rescan', status: 'succeeded' });
  expect(await call('GET repository')).toMatchObject({ status: 200, body: { owner: 'other' } });
  const points = await world.installation.catalog.points.listMachine(machine.id);
  expect(points.map(({ point }) => point.sequence)).toEqual([1]);
  // What still runs of the other one writes no more, although it has the repository open.
  expect(await lab.backUp(machine)).toMatchObject({ status: 'failed', error: { code: 'notOwner' } });
  // Repeated it is no other take-over.
  const again = await call('POST repository/adopt', { takeOver: 'lab' });
  expect(await rescanned(again)).toMatchObject({ status: 'succeeded' });
  expect((await readOwner(await lab.installation.repository()))?.counter).toBe(2);
});

it('with another password than its own, named as a secret, the service gets a slot for its own', async () => {
  await secrets.setSecret('own-password', 'of this installation');
  world.installation = other({
    HOLDFAST_INSTALLATION_ID: 'third',
    HOLDFAST_PASSWORD_SECRET: 'own-password',
    HOLDFAST_TABLE_ENDPOINT: lab.azurite.tableUrl('holdfastapp'),
  });
  await lab.forgetCatalog();
  expect(await call('POST repository/adopt', { takeOver: 'other' })).toMatchObject({
    status: 409,
    body: { error: { code: 'wrongPassword' } },
  });
  expect(await owner()).toBe('other');
  const started = await call('POST repository/adopt', {
    takeOver: 'other',
    passwordSecret: 'holdfast-repository-password',
  });
  expect(await rescanned(started)).toMatchObject({ status: 'succeeded' });
  expect((await call('GET repository/keys')).body).toMatchObject({
    value: [
      { id: 'password-1', opensHere: false },
      { id: 'app-third', opensHere: true },
    ],
  });
  // And goes on backing up where the other one stopped.
  const session = await requestBackup(world.installation, lab.instances, {
    machine,
    protection: protectionSchema.parse({ mover: 'inline' }),
    reason: 'test',
    policyId: null,
    parentId: null,
  });
  expect(await rescanned({ body: session })).toMatchObject({
    status: 'succeeded',
    restorePoint: { sequence: 2 },
    disks: [{ readReason: 'changedBlocks' }],
  });
});

it('a lost descriptor is made again when told so', async () => {
  await lab.meta.remove('repository');
  world.installation = other({
    HOLDFAST_INSTALLATION_ID: 'third',
    HOLDFAST_TABLE_ENDPOINT: lab.azurite.tableUrl('holdfastapp'),
  });
  expect(await call('POST repository/adopt')).toMatchObject({
    status: 404,
    body: message(/descriptor .* is lost. Say that it is to be recovered/),
  });
  const started = await call('POST repository/adopt', { recover: true });
  expect(started.status).toBe(202);
  expect(await rescanned(started)).toMatchObject({ status: 'succeeded' });
  expect((await call('GET repository')).status).toBe(200);
});

it('a further repository of another installation is added when that one is named', async () => {
  const endpoint = lab.env['HOLDFAST_REPOSITORY_ENDPOINT'] ?? '';
  for (const name of ['second-meta', 'second-data'])
    await AzureBlobStore.withCredential(`${endpoint}/${name}`, lab.azurite.credential()).ensureContainer();
  const body = {
    blobEndpoint: endpoint,
    metaContainer: 'second-meta',
    dataContainer: 'second-data',
    region: 'westeurope',
  };
  const elsewhere = other({ HOLDFAST_INSTALLATION_ID: 'elsewhere' });
  world.installation = elsewhere;
  expect((await call('PUT repositories/second', body)).status).toBe(200);
  world.installation = lab.installation;
  expect(await call('PUT repositories/mine', body)).toMatchObject({
    status: 409,
    body: message(/belongs to installation elsewhere since/),
  });
  expect((await call('PUT repositories/mine?takeOver=elsewhere', body)).status).toBe(200);
  expect(await call('GET repository/keys?repository=mine')).toMatchObject({
    status: 200,
    body: { value: [{ id: 'password-1', opensHere: true }] },
  });
});
