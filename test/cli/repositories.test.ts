import { afterEach, expect, test } from 'vitest';
import { refusal, run, scriptedService } from './service.ts';

let service: Awaited<ReturnType<typeof scriptedService>>;
afterEach(() => service.close());

const PLACE = {
  id: 'second',
  repositoryId: '11111111-2222-4333-8444-555555555555',
  blobEndpoint: 'https://far.blob.core.windows.net',
  metaContainer: 'holdfast-meta',
  dataContainer: 'holdfast-data',
  passwordSecret: 'far-password',
  keyVaultKey: '',
  immutabilityDays: 30,
  region: 'northeurope',
  encryption: 'encrypted',
  chains: 4,
};

test('repository list shows where the repositories are and how long points are immutable', async () => {
  service = await scriptedService({
    'GET repositories': { body: { value: [{ ...PLACE, id: 'default', immutabilityDays: 0 }, PLACE] } },
  });
  const { code, out } = await run(service.url, ['repository', 'list']);
  const [, first = '', second = ''] = out.split('\n');
  expect(first).toMatch(/^default .* no +northeurope +4$/);
  expect(second).toMatch(/^second .*far\.blob.* 30 days +northeurope +4$/);
  expect(code).toBe(0);
});

test('repository add sends what was given, and leaves the rest to the service', async () => {
  service = await scriptedService({ 'PUT repositories/second': { body: PLACE } });
  const add = ['repository', 'add', 'second', '--blob-endpoint', PLACE.blobEndpoint];
  expect((await run(service.url, add)).code).toBe(0);
  const more = [...add, '--key', 'wrap', '--immutability-days', '30', '--region', 'northeurope'];
  expect((await run(service.url, more)).code).toBe(0);
  expect(service.seen.map(({ body }) => body)).toEqual([
    { blobEndpoint: PLACE.blobEndpoint },
    {
      blobEndpoint: PLACE.blobEndpoint,
      keyVaultKey: 'wrap',
      immutabilityDays: 30,
      region: 'northeurope',
    },
  ]);
  expect((await run(service.url, ['repository', 'add', 'second'])).code).toBe(2);
});

test('repository remove says that what it holds is kept, and why it is refused', async () => {
  service = await scriptedService({
    'DELETE repositories/second': [
      refusal(409, 'conflict', 'Policy nightly stores backups in repository second.', 'nightly'),
      { body: { points: 12 } },
    ],
  });
  const refused = await run(service.url, ['repository', 'remove', 'second']);
  expect(refused.code).not.toBe(0);
  expect(refused.err).toContain('Policy nightly stores backups');
  const { code, err } = await run(service.url, ['repository', 'remove', 'second']);
  expect([code, err]).toEqual([0, expect.stringContaining('12 restore points stay in it')]);
});

test('check, collect and rescan name the repository that is meant', async () => {
  const started = { status: 202, body: { id: 'x' } };
  service = await scriptedService({
    'POST repository/check': started,
    'POST repository/collect': started,
    'POST repository/rescan': started,
  });
  for (const verb of ['check', 'collect', 'rescan'])
    await run(service.url, ['repository', verb, '--repository', 'second']);
  await run(service.url, ['repository', 'collect']);
  expect(service.seen.map(({ path, body }) => [path, body])).toEqual([
    ['repository/check', { depth: 'structure', repository: 'second' }],
    ['repository/collect', { repository: 'second' }],
    ['repository/rescan', { accept: [], repository: 'second' }],
    ['repository/collect', {}],
  ]);
});
