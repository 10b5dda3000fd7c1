import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Writable } from 'node:stream';
import type { Surroundings } from '../../cli/main.ts';
import type { BlobStore } from '../../lib/repository/index.ts';
import { ModelDisk, SECTOR } from '../datapath/modelDisk.ts';
import { run } from './service.ts';

export const PASSWORD = 'correct horse';

/** A folder for one test file; `remove` at its end. */
export async function temporaryFolder(): Promise<{ path: string; remove: () => Promise<void> }> {
  const path = await mkdtemp(join(tmpdir(), 'holdfast-offline-'));
  return { path, remove: () => rm(path, { recursive: true, force: true }) };
}

/** Copies both containers to `folder/meta` and `folder/data`, each object a file, as any copying tool does. */
export async function copyToFolder(
  stores: { readonly meta: BlobStore; readonly data: BlobStore },
  folder: string,
): Promise<string> {
  for (const container of ['meta', 'data'] as const) {
    await mkdir(join(folder, container), { recursive: true });
    for await (const { name } of stores[container].list('')) {
      const path = join(folder, container, ...name.split('/'));
      await mkdir(dirname(path), { recursive: true });
      await writeFile(path, (await stores[container].read(name)).bytes);
    }
  }
  return folder;
}

/** Runs a command line with the password in the environment and nothing else: no service, no catalog. */
export const offline = (argv: string[], around: Partial<Surroundings> = {}) =>
  run(undefined, ['repo', ...argv], { env: { HOLDFAST_REPOSITORY_PASSWORD: PASSWORD }, ...around });

/** Stdout as bytes. `limit`: the reader goes away after so many. */
export function bytesOut(limit = Number.POSITIVE_INFINITY) {
  const parts: Buffer[] = [];
  let length = 0;
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      length += chunk.length;
      if (length > limit) return done(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }));
      parts.push(Buffer.from(chunk));
      done();
    },
  });
  return { stream, bytes: () => Buffer.concat(parts) };
}

/** A disk whose content comes from elsewhere: what changed between two images is what was written. */
export class ImageDisk extends ModelDisk {
  load(image: Buffer): void {
    for (let at = 0; at < image.length; at += SECTOR) {
      const sector = image.subarray(at, at + SECTOR);
      if (sector.equals(this.content.subarray(at, at + SECTOR))) continue;
      if (sector.every((byte) => byte === 0)) this.discard(at / SECTOR, 1);
      else this.write(at / SECTOR, 1, 0);
      sector.copy(this.content, at);
    }
  }
}
