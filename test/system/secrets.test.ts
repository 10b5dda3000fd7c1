import { createHash, createHmac, randomBytes } from 'node:crypto';
import { appendFileSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { MiB } from '../../lib/model/index.ts';
import { encodeChainKeys, openRepository } from '../../lib/repository/index.ts';
import { NAMES } from '../../local/deployment.ts';
import { guestEvents } from './guestLog.ts';
import { Rig } from './rig.ts';
import { type Found, hunt, keySecret, type Place, placesIn, type Secret, textSecret } from './secretHunt.ts';

/**
 * A run with workers, a job that fails and is done again, and a restore. Then everything that it has written is searched for
 * the secrets that it used: the real ones, taken from where they are kept, and whatever looks like one.
 */
let rig: Rig;
let secrets: Secret[];
let restored: string[];
beforeAll(async () => {
  rig = await Rig.start({ shop: [64 * MiB, 32 * MiB] }, { HOLDFAST_WORKER_KEEP: '2' });
  // An error on the way, so that errors are among what was written.
  const { id } = await rig.admin.call('injectFault', {
    match: { method: 'GET', path: '^/md-[^?]*\\?(?!.*comp=)' },
    effect: { kind: 'respond', status: 400, code: 'InvalidHeaderValue', message: 'told to' },
    skip: 2,
  });
  await rig.pointOf(await rig.backUp('shop', 'worker'));
  if ((await rig.admin.call('listFaults')).find((fault) => fault.id === id)?.fired !== 1)
    throw new Error('The fault was never met.');
  for (const disk of rig.disks['shop'] ?? []) await disk.write(3 * MiB, randomBytes(2 * MiB));
  restored = await rig.restoredDigests(await rig.pointOf(await rig.backUp('shop', 'worker')), 'r-');
  // What is refused is written down as well.
  await rig.call('POST', 'backups', { body: { machine: 'nobody' } });
  secrets = await knownSecrets();
  await rig.stop();
  secrets.push(...issuedSas());
}, 200_000);
afterAll(async () => {
  await rig?.end();
}, 60_000);

/** The secrets themselves, from the vault, the repository and the files of this run. */
async function knownSecrets(): Promise<Secret[]> {
  const sealing = await rig.secret(NAMES.installationKeySecret);
  const repository = await openRepository(await rig.repository());
  const [point] = await rig.api.points();
  const { keys } = repository;
  const chain = keys.chain(point?.chainId ?? '');
  const exported = Object.entries({
    'the chain key': chain.seal,
    'the digest key': chain.digest,
    'the key of documents': keys.document,
    'the key of the meta container': keys.meta,
  }).map(([name, key]) => {
    if (!key) throw new Error(`There is no such key: ${name}.`);
    return keySecret(name, key.export());
  });
  const accounts = (rig.state.read('azurite.json') as string)
    .split(';')
    .map((one) => one.split(':')[1] ?? '');
  const { apps } = await rig.admin.call('endpoints');
  const run = rig.state.read('run.json') as { admin: { adminKey: string } };
  return [
    textSecret('the repository password', await rig.secret(NAMES.passwordSecret)),
    textSecret('the installation key', sealing),
    keySecret('the installation key, derived', createHash('sha256').update(sealing, 'utf8').digest()),
    ...exported,
    keySecret('what a worker gets of the chain key', encodeChainKeys(chain)),
    textSecret('the function key', rig.system.key),
    textSecret('the master key of the host', rig.masterKey),
    textSecret('the key of the admin API', run.admin.adminKey),
    ...accounts.map((key) => textSecret('a storage account key', key)),
    ...apps.map(({ name, identityHeader }) => textSecret(`the identity header of ${name}`, identityHeader)),
  ];
}

/** The signature of every disk SAS that was used, computed anew with the simulator's own key. */
function issuedSas(): Secret[] {
  const { secret } = JSON.parse(readFileSync(rig.state.file('azure', 'disks', 'policies.json'), 'utf8')) as {
    secret: string;
  };
  const log = readFileSync(rig.state.file('azure', 'requests.jsonl'), 'utf8');
  const used = new Set(
    [...log.matchAll(/"path":"(\/md-[^"]*?)&sig=REDACTED/g)].map(([, path]) => path ?? ''),
  );
  return [...used].map((path) => {
    const { pathname, searchParams: query } = new URL(path, 'https://disk');
    const signed = [
      pathname.split('/')[1],
      query.get('snapshot') ?? '',
      query.get('sv'),
      query.get('sr'),
      query.get('si'),
    ];
    const sig = createHmac('sha256', Buffer.from(secret, 'base64'))
      .update(signed.join('\n'))
      .digest('base64');
    return textSecret('the signature of a disk SAS', sig);
  });
}

/** Where a secret is at home. Each of these is readable by its owner only, or is the simulated cloud itself. */
function isAtHome(place: string, secret: string): boolean {
  const homes: Readonly<Record<string, RegExp>> = {
    // The simulated Key Vault and its directory of applications.
    'the repository password': /^azure\/azure\.sqlite(: documents secrets)?$/,
    'the installation key': /^azure\/azure\.sqlite(: documents secrets)?$/,
    'the identity header of holdfast': /^azure\/azure\.sqlite(: documents appIdentities)?$/,
    'the identity header of deployment': /^azure\/azure\.sqlite(: documents appIdentities)?$/,
    'the function key': /^(run|installation)\.json$/,
    'the key of the admin API': /^run\.json$/,
    'a storage account key': /^azurite\.json$/,
  };
  return homes[secret]?.test(place) ?? false;
}

const search = (): Found[] => hunt(placesIn(rig.state.path), secrets, isAtHome);

test('what is searched is everything: databases, tables, blobs, customData, logs, consoles, telemetry', () => {
  const places = placesIn(rig.state.path);
  const sized = (match: RegExp) =>
    places.filter(({ name, content }) => match.test(name) && content.length > 0).length;
  expect({
    hub: sized(/^host\/hub\.sqlite: history /) > 50,
    tables: sized(/^azurite\/__azurite_db_table__\.json$/),
    blobNames: sized(/^azurite\/__azurite_db_blob__\.json$/),
    blobs: sized(/^azurite\/__blobstorage__\//) > 0,
    customData: sized(/ customData$/) > 0,
    requests: sized(/^azure\/requests\.jsonl$/),
    consoles: sized(/^azure\/guests\/[^/]+\/console\.log$/) > 0,
    telemetry: sized(/^telemetry\.jsonl$/),
    logs: places.filter(({ name }) => /^logs\/(azurite|azure|host)\.log$/.test(name)).length,
  }).toEqual({
    hub: true,
    tables: 1,
    blobNames: 1,
    blobs: true,
    customData: true,
    requests: 1,
    consoles: true,
    telemetry: 1,
    logs: 3,
  });
  const contentOf = (name: string) => places.find((place) => place.name === name)?.content ?? '';
  for (const container of [NAMES.staging, NAMES.meta, NAMES.data, NAMES.packages])
    expect(contentOf('azurite/__azurite_db_blob__.json')).toContain(`"${container}"`);
  expect(contentOf('azurite/__azurite_db_table__.json')).toContain('"holdfastJobs"');
  expect(places.find(isCustomData)?.content).toMatch(/^#cloud-config/);
  // The error on the way is among it.
  expect(guestEvents(rig.state.file('azure')).filter(({ event }) => event === 'job.failed')).toHaveLength(1);
  // Two backups of two disks, and a restore.
  expect(secrets.filter(({ name }) => name === 'the signature of a disk SAS').length).toBeGreaterThanOrEqual(
    6,
  );
});

const isCustomData = ({ name }: Place): boolean => name.endsWith(' customData');

test('no secret is in anything that was written, but where it is at home', () => {
  // The run has done what it is for.
  expect(restored).toEqual(rig.digests('shop'));
  expect(search()).toEqual([]);
  for (const file of [
    'run.json',
    'installation.json',
    'azurite.json',
    'azure/azure.sqlite',
    'azure/disks/policies.json',
  ]) {
    const mode = statSync(rig.state.file(file), { throwIfNoEntry: false })?.mode;
    expect([file, mode === undefined || (mode & 0o077) === 0]).toEqual([file, true]);
  }
});

test('the search finds what is planted, in each kind of place', () => {
  const form = (name: string) => secrets.find((secret) => secret.name === name)?.forms[0] ?? '';
  const file = (name: string) => rig.state.file(...name.split('/'));
  appendFileSync(file('logs/host.log'), 'GET https://s/c/b?sv=1&sig=c2VjcmV0c2VjcmV0c2VjcmV0%3D\n');
  appendFileSync(file('telemetry.jsonl'), `{"password":"${form('the repository password')}"}\n`);
  appendFileSync(file('azure/requests.jsonl'), `${form('the signature of a disk SAS')}\n`);
  const tables = 'azurite/__azurite_db_table__.json';
  const key = Buffer.from(form('the chain key'), 'latin1').toString('base64');
  writeFileSync(
    file(tables),
    readFileSync(file(tables), 'utf8').replace('"holdfastJobs"', `"holdfastJobs${key}"`),
  );
  const token = `eyJ0eXAiOiJKV1Qi.eyJvaWQiOiIx.${'s'.repeat(40)}`;
  inDatabase('azure/azure.sqlite', (database) => {
    const body = JSON.stringify({ customData: Buffer.from(`#cloud-config\n${token}`).toString('base64') });
    database
      .prepare('insert into documents (collection, key, body) values (?, ?, ?)')
      .run('planted', 'vm', body);
  });
  inDatabase('host/hub.sqlite', (database) => {
    // Long: torn over pages.
    const input = `${'x'.repeat(4000)}${form('the function key')}${'x'.repeat(4000)}`;
    database
      .prepare('insert into tasks (instanceId, executionId, taskId, name, input) values (?, ?, ?, ?, ?)')
      .run('i', 'e', 1, 'n', input);
  });
  const found = search().map(({ place, secret }) => `${place.replace(/ \d+$/, '')} | ${secret}`);
  expect(new Set(found.filter((one) => one !== 'host/hub.sqlite | the function key'))).toEqual(
    new Set([
      'azure/azure.sqlite: documents planted customData | a bearer token',
      'azure/requests.jsonl | the signature of a disk SAS',
      `${tables} | the chain key`,
      'host/hub.sqlite: tasks | the function key',
      'logs/host.log | a SAS signature',
      'telemetry.jsonl | the repository password',
    ]),
  );
});

function inDatabase(name: string, change: (database: DatabaseSync) => void): void {
  const database = new DatabaseSync(rig.state.file(...name.split('/')));
  try {
    change(database);
  } finally {
    database.close();
  }
}
