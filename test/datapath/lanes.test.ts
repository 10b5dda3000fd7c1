import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { LaneExaminer, LaneThreads, runMove } from '../../lib/datapath/index.ts';
import {
  checkRepository,
  encodeChainKeys,
  FolderBlobStore,
  type OpenExaminer,
} from '../../lib/repository/index.ts';
import { Lab } from './lab.ts';
import { ModelDisk, ModelSource } from './modelDisk.ts';

const folder = mkdtempSync(join(tmpdir(), 'holdfast-lanes-'));
const threads = new LaneThreads(new URL('./laneThread.ts', import.meta.url), 3);
beforeAll(() => threads.start());
afterAll(async () => {
  await threads.close();
  rmSync(folder, { recursive: true, force: true });
});

describe('lanes in threads', () => {
  test('a shard that several threads move is, block for block, what one thread makes of it', async () => {
    const store = (name: string) => new FolderBlobStore(join(folder, name));
    const lab = await Lab.start({
      data: store('data'),
      staging: store('staging'),
      shardBytes: 64 * 1024 * 1024,
    });
    const disk = new ModelDisk('os', 6000);
    for (let at = 0; at < 6000; at += 37) disk.write(at, 20, at + 1);
    const prepared = await lab.prepare([disk]);
    const [snapshot] = prepared.snapshots;
    const [plan] = prepared.plans;
    const [one] = prepared.moves;
    if (!snapshot || !plan || !one) throw new Error('nothing was prepared');
    let renewals = 0;
    const access = {
      folder,
      chain: lab.chain.id,
      blockBytes: lab.blockBytes,
      key: encodeChainKeys(lab.chain.keys),
      content: snapshot.content,
    };
    const lanes = threads.forJob({
      current: () => ({ ...access, refuse: true }),
      renew: async () => {
        renewals++;
        return { ...access, refuse: false };
      },
    });
    const source = new ModelSource(snapshot);
    const spec = {
      kind: 'move' as const,
      chain: { id: lab.chain.id, blockBytes: lab.blockBytes },
      sequence: prepared.claim.sequence,
      disk: 0,
      sizeBytes: disk.content.length,
      snapshotId: snapshot.id,
      plan: plan.plan,
      shard: 0,
      compare: true,
    };
    const refused = { calls: 0, seconds: 0 };
    const io = {
      ...lab.io(2, { source, lanes }),
      refused: (calls: number, seconds: number) => {
        refused.calls += calls;
        refused.seconds += seconds;
      },
    };
    const many = await runMove(spec, io);
    expect(renewals).toBeGreaterThan(0);
    // Each thread tells of its own.
    expect(refused.calls).toBeGreaterThanOrEqual(renewals);
    expect(refused.seconds).toBe(2 * refused.calls);
    const counts = ({ readBytes, blocksStored, blocksReused, blocksZero }: typeof many) => ({
      readBytes,
      blocksStored,
      blocksReused,
      blocksZero,
    });
    expect(counts(many)).toEqual(counts(one));
    const [first] = prepared.disks;
    if (!first) throw new Error('no disk');
    prepared.disks[0] = { ...first, shards: [many, ...first.shards.slice(1)] };
    const { manifest } = await lab.commit(prepared);
    await lab.mustRestore(manifest.sequence);
  }, 60_000);

  test('packs that several threads look into have the damage that one thread finds', async () => {
    const data = new FolderBlobStore(join(folder, 'data3'));
    const lab = await Lab.start({ data, staging: new FolderBlobStore(join(folder, 'staging3')) });
    const disk = new ModelDisk('os', 3000);
    for (let at = 0; at < 3000; at += 31) disk.write(at, 20, at + 1);
    await lab.backup([disk]);
    const check = (examiner?: OpenExaminer) =>
      checkRepository({ ...lab.stores, unlock: lab.unlock, depth: 'content', examiner });
    let opened = 0;
    const inThreads: OpenExaminer = ({ id, blockBytes, keys }) => {
      opened++;
      const places = { folder, data: 'data3', staging: 'staging3', chain: id, blockBytes };
      const access = { ...places, key: encodeChainKeys(keys), content: Buffer.alloc(0) };
      const lanes = threads.forJob({ current: () => access, renew: () => Promise.resolve(access) });
      return new LaneExaminer(lanes, new AbortController().signal);
    };
    const sound = await check(inThreads);
    expect(sound).toEqual(await check());
    expect(sound).toMatchObject({ findings: [] });
    expect(sound.blocks).toBeGreaterThan(300);
    for await (const { name, size } of data.list('')) {
      if (!name.endsWith('.pack')) continue;
      const path = join(folder, 'data3', name);
      const bytes = readFileSync(path);
      bytes.writeUInt8((bytes[size >> 1] ?? 0) ^ 1, size >> 1);
      writeFileSync(path, bytes);
      break;
    }
    const damaged = await check(inThreads);
    expect(damaged.findings).toHaveLength(1);
    expect(damaged).toEqual(await check());
    expect(opened).toBe(2);
  }, 60_000);

  test('a failure in a thread is the job’s, with its code, and the threads go on with the next job', async () => {
    const lab = await Lab.start({
      data: new FolderBlobStore(join(folder, 'data2')),
      staging: new FolderBlobStore(join(folder, 'staging2')),
    });
    const disk = new ModelDisk('os', 600);
    disk.write(0, 500, 3);
    const prepared = await lab.prepare([disk]);
    const [snapshot] = prepared.snapshots;
    const [plan] = prepared.plans;
    if (!snapshot || !plan) throw new Error('nothing was prepared');
    const lanes = threads.forJob({
      current: () => ({ fail: true }),
      renew: () => Promise.reject(new Error('not asked')),
    });
    const spec = {
      kind: 'move' as const,
      chain: { id: lab.chain.id, blockBytes: lab.blockBytes },
      sequence: prepared.claim.sequence,
      disk: 0,
      sizeBytes: disk.content.length,
      snapshotId: snapshot.id,
      plan: plan.plan,
      shard: 0,
      compare: true,
    };
    const run = () => runMove(spec, lab.io(3, { source: new ModelSource(snapshot), lanes }));
    await expect(run()).rejects.toMatchObject({ code: 'accessDenied', target: 'the lane' });
    await expect(run()).rejects.toMatchObject({ code: 'accessDenied' });
  }, 60_000);
});
