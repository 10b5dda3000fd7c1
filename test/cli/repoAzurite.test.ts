import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import {
  BlobServiceClient,
  ContainerSASPermissions,
  generateBlobSASQueryParameters,
} from '@azure/storage-blob';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { goldenRepositories } from '../repository/golden/expected.ts';
import { type Azurite, startAzurite } from '../support/azurite.ts';
import { bytesOut, offline } from './offlineLab.ts';

const golden = goldenRepositories().find(({ name }) => name === 'v1-encrypted');
if (!golden) throw new Error('no golden repository');
const { folder, expected } = golden;
let azurite: Azurite;
const urls = { meta: '', data: '' };

beforeAll(async () => {
  azurite = await startAzurite();
  const service = new BlobServiceClient(azurite.blobUrl('holdfastrepo'), azurite.credential());
  const [startsOn, expiresOn] = [new Date(Date.now() - 60_000), new Date(Date.now() + 3600_000)];
  const key = await service.getUserDelegationKey(startsOn, expiresOn);
  for (const name of ['meta', 'data'] as const) {
    const { containerClient } = await service.createContainer(name);
    const root = join(folder, name);
    for (const entry of readdirSync(root, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue;
      const path = join(entry.parentPath, entry.name);
      await containerClient.getBlockBlobClient(relative(root, path)).uploadData(readFileSync(path));
    }
    const sas = generateBlobSASQueryParameters(
      {
        containerName: name,
        // What the page on restoring offline asks for, and no more.
        permissions: ContainerSASPermissions.from({ read: true, list: true }),
        version: '2024-11-04',
        startsOn,
        expiresOn,
      },
      key,
      'holdfastrepo',
    );
    urls[name] = `${containerClient.url}?${sas.toString()}`;
  }
});
afterAll(() => azurite.stop());

/** Threads trust what the process trusts from its start on: the test's own authority is given to a process. */
async function asProcess(argv: readonly string[], env: Readonly<Record<string, string>>) {
  const bin = fileURLToPath(new URL('../../cli/holdfast.js', import.meta.url));
  const child = spawn(process.execPath, [bin, 'repo', ...argv], {
    env: { ...env, NODE_EXTRA_CA_CERTS: azurite.caFile },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const [out, err, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'close'),
  ]);
  return { code: code as number, out, err };
}

test('with a SAS that may read and list, everything that only reads works on containers in storage', async () => {
  const env = {
    HOLDFAST_REPOSITORY: urls.meta,
    HOLDFAST_REPOSITORY_DATA: urls.data,
    HOLDFAST_REPOSITORY_PASSWORD: expected.password ?? '',
  };
  const [chain] = expected.chains;
  const point = chain?.points.at(-1);
  if (!chain || !point) throw new Error('no point');
  for (const argv of [['ls'], ['check', '--depth', 'content'], ['stats'], ['rescan'], ['gc', '--dry-run']]) {
    const { code, out, err } =
      argv[0] === 'check' ? await asProcess(argv, env) : await offline(argv, { env });
    expect({ argv, code, err }).toMatchObject({ argv, code: 0 });
    expect(`${out}${err}`).not.toContain('sig=');
  }
  const disk = point.disks[0];
  const { stream, bytes } = bytesOut();
  const argv = ['restore-disk', `${chain.id}/${point.sequence}`, '--disk', '0', '--output', '-'];
  expect(await offline(argv, { env, bytesOut: () => stream })).toMatchObject({ code: 0 });
  expect(createHash('sha256').update(bytes()).digest('hex')).toBe(disk?.sha256);
});
