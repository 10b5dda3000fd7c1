import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { FolderBlobStore } from '../../lib/repository/index.ts';
import { Lab } from '../datapath/lab.ts';
import { ModelDisk } from '../datapath/modelDisk.ts';
import { readPoint } from './independentReader.ts';

let root = '';
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'holdfast-format-'));
});
afterAll(() => rm(root, { recursive: true, force: true }));

test.each(['correct horse', null])(
  'the format page is enough to read a repository (password %s)',
  async (password) => {
    const folder = join(root, String(password));
    const meta = new FolderBlobStore(join(folder, 'meta'));
    const data = new FolderBlobStore(join(folder, 'data'));
    const unlock = password === null ? { mode: 'none' as const } : { password };
    const lab = await Lab.start({ meta, data, unlock });
    const disks = [new ModelDisk('os', 5003), new ModelDisk('data', 1500)];
    disks.forEach((disk, i) => disk.write(i * 10, 900, 3 + i));
    await lab.backup(disks);
    disks[0]?.write(4800, 203, 4);
    disks[0]?.discard(100, 200);
    disks[1]?.write(700, 30, 6);
    await lab.backup(disks);
    disks[0]?.write(40, 2, 6);
    await lab.backup(disks, { reason: 'scheduled' });

    const containers = {
      meta: (name: string) => readFileSync(join(folder, 'meta', name)),
      data: (name: string) => readFileSync(join(folder, 'data', name)),
    };
    for (const [sequence, snapshots] of lab.truth) {
      const read = readPoint(containers, password, lab.chain.id, sequence);
      expect([...read.keys()]).toEqual([0, 1]);
      expect(read.get(0)?.equals(snapshots.get('os')?.content ?? Buffer.alloc(0))).toBe(true);
      expect(read.get(1)?.equals(snapshots.get('data')?.content ?? Buffer.alloc(0))).toBe(true);
    }
    expect(() => readPoint(containers, 'wrong', lab.chain.id, 1)).toThrow(/wrong password|mode/);
  },
);
