import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BlobServiceClient } from '@azure/storage-blob';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ensureTls } from '../../local/azure/tls.ts';
import { ACCOUNTS, azuriteSpec } from '../../local/azurite.ts';
import { Children } from '../../local/children.ts';
import { choosePorts } from '../../local/ports.ts';
import { isAlive } from '../../local/processes.ts';
import { StateFolder } from '../../local/stateFolder.ts';
import { fakeCredential, trustAuthority } from '../support/azurite.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'holdfast-azurite-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('Azurite keeps what it acknowledged, and its address, over a stop and a start', async () => {
  const state = new StateFolder(folder);
  const tls = await ensureTls(state.folder('tls'));
  trustAuthority(tls.caPem);
  const run = async (work: (service: BlobServiceClient) => Promise<unknown>) => {
    const { ports } = await choosePorts(state);
    const children = new Children(state);
    const ready = await children.start(azuriteSpec(state, ports, tls));
    expect(ready).toMatchObject({ blob: `https://127.0.0.1:${ports.blob}` });
    const { azurite } = children.pids() as { azurite: number };
    const outcome = await work(
      new BlobServiceClient(`https://127.0.0.1:${ports.blob}/${ACCOUNTS.repository}`, fakeCredential()),
    );
    expect(await children.stopAll()).toEqual([]);
    expect(isAlive(azurite)).toBe(false);
    return outcome;
  };
  await run(async (service) => {
    await service.createContainer('kept');
    await service.getContainerClient('kept').uploadBlockBlob('a', 'words', 5);
  });
  const kept = await run(async (service) =>
    (await service.getContainerClient('kept').getBlobClient('a').downloadToBuffer()).toString(),
  );
  expect(kept).toBe('words');
}, 60_000);
