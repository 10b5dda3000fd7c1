import { expect, test } from 'vitest';
import {
  type DiskSink,
  type DiskSource,
  runJob,
  runMove,
  runPlan,
  runRestore,
} from '../../lib/datapath/index.ts';
import { HoldfastError, type JobProgress } from '../../lib/model/index.ts';
import { type BlobCall, MemoryBlobStore } from '../../lib/repository/index.ts';
import { collect, Lab } from './lab.ts';
import { listsOf, ModelDisk, ModelSink, ModelSource } from './modelDisk.ts';

async function planned(store?: MemoryBlobStore) {
  const lab = await Lab.start(store ? { data: store } : {});
  const disk = new ModelDisk('os', 6000);
  disk.write(0, 5000, 3);
  const snapshot = disk.snapshot();
  const source = new ModelSource(snapshot);
  const claim = await lab.claim(lab.nextSession(), null);
  const common = {
    chain: { id: lab.chain.id, blockBytes: lab.blockBytes },
    sequence: claim.sequence,
    disk: 0,
    sizeBytes: source.sizeBytes,
    snapshotId: 's',
  };
  const planSpec = {
    kind: 'plan' as const,
    ...common,
    baseSnapshotId: null,
    readReason: 'first' as const,
    parentTable: null,
    shardBytes: 2 ** 30,
  };
  const lists = listsOf(snapshot, null);
  const { plan } = await runPlan(planSpec, lab.io(1, { source, lists }));
  return {
    lab,
    disk,
    source,
    lists,
    planSpec,
    moveSpec: { kind: 'move' as const, ...common, plan, shard: 0, compare: true },
  };
}

test('progress counts what was read, and ends with what the result says', async () => {
  const { lab, source, moveSpec } = await planned();
  const reports: JobProgress[] = [];
  const result = await runJob(moveSpec, lab.io(1, { source, progress: (report) => reports.push(report) }));
  expect(reports.length).toBeGreaterThan(1);
  expect(result).toMatchObject({ kind: 'move', readBytes: 5000 * 512, blocksStored: 625, packs: 1 });
  expect(reports.at(-1)).toMatchObject({ doneBytes: 5000 * 512, readBytes: 5000 * 512 });
  expect(reports.map(({ readBytes }) => readBytes)).toEqual(
    reports.map(({ readBytes }) => readBytes).sort((a, b) => a - b),
  );
});

test('a cancelled move stops at once, even when the disk does not answer, and writes no map', async () => {
  const { lab, source, moveSpec } = await planned();
  const abort = new AbortController();
  const stuck: DiskSource = {
    sizeBytes: source.sizeBytes,
    read: () => {
      queueMicrotask(() => abort.abort(new HoldfastError('cancelled', 'stop')));
      return new Promise(() => undefined);
    },
  };
  await expect(runMove(moveSpec, lab.io(1, { source: stuck, signal: abort.signal }))).rejects.toMatchObject({
    code: 'cancelled',
  });
  expect((await collect(lab.data.list(''))).map(({ name }) => name)).toEqual([]);
});

test('a disk that answers short is not taken for a shorter disk', async () => {
  const { lab, source, moveSpec } = await planned();
  let fired = 0;
  const short: DiskSource = {
    sizeBytes: source.sizeBytes,
    read: async (offset, length) => {
      fired++;
      return (await source.read(offset, length)).subarray(512);
    },
  };
  await expect(runMove(moveSpec, lab.io(1, { source: short }))).rejects.toMatchObject({
    code: 'unavailable',
    retryable: true,
  });
  expect(fired).toBeGreaterThan(0);
});

test('a failing upload fails the move, and no map object is written', async () => {
  class FullStore extends MemoryBlobStore {
    fired = 0;
    override async create(name: string, bytes: Uint8Array, options?: BlobCall) {
      if (name.endsWith('.pack')) {
        this.fired++;
        throw new HoldfastError('unavailable', 'no room', { target: name });
      }
      return super.create(name, bytes, options);
    }
  }
  const store = new FullStore('data');
  const { lab, source, moveSpec } = await planned(store);
  await expect(runMove(moveSpec, lab.io(1, { source }))).rejects.toMatchObject({ code: 'unavailable' });
  expect(store.fired).toBe(1);
  expect(await collect(store.list(''))).toEqual([]);
});

test('an upload whose answer was lost is recognised as arrived', async () => {
  class ForgetfulStore extends MemoryBlobStore {
    fired = 0;
    override async create(name: string, bytes: Uint8Array, options?: BlobCall) {
      await super.create(name, bytes, options);
      if (!name.startsWith('chains/') || this.fired > 3) return super.create(name, bytes, options);
      this.fired++;
      // A retrying client: its second try meets its first one's object.
      return super.create(name, bytes, options);
    }
  }
  const store = new ForgetfulStore('data');
  const { lab, source, moveSpec } = await planned(store);
  await expect(runMove(moveSpec, lab.io(1, { source }))).resolves.toMatchObject({ blocksStored: 625 });
  expect(store.fired).toBeGreaterThan(1);
});

test('a refused SAS reaches the caller as accessExpired', async () => {
  const { lab, source, moveSpec } = await planned();
  const expired: DiskSource = {
    sizeBytes: source.sizeBytes,
    read: () => Promise.reject(new HoldfastError('accessExpired', 'the SAS is refused')),
  };
  await expect(runMove(moveSpec, lab.io(1, { source: expired }))).rejects.toMatchObject({
    code: 'accessExpired',
    retryable: true,
  });
});

test('a list that cannot be true is refused', async () => {
  const { lab, source, planSpec } = await planned();
  for (const ranges of [
    [
      { offset: 512, length: 1024 },
      { offset: 1024, length: 512 },
    ],
    [{ offset: 0, length: source.sizeBytes + 512 }],
    [{ offset: 0, length: 0 }],
  ]) {
    const lists = {
      allocated: () => Promise.resolve(ranges),
      changed: () => Promise.reject(new Error('not asked')),
    };
    await expect(runPlan(planSpec, lab.io(2, { source, lists }))).rejects.toMatchObject({ code: 'internal' });
  }
});

test('a job for something else than its plan, its snapshot or its target is refused', async () => {
  const { lab, source, lists, planSpec, moveSpec } = await planned();
  const io = lab.io(3, { source, lists });
  await expect(runMove({ ...moveSpec, shard: 7 }, io)).rejects.toMatchObject({ code: 'invalidInput' });
  await expect(runMove({ ...moveSpec, sizeBytes: 512 }, io)).rejects.toMatchObject({ code: 'invalidInput' });
  await expect(runPlan({ ...planSpec, baseSnapshotId: 'b' }, io)).rejects.toMatchObject({
    code: 'invalidInput',
  });
  await expect(runPlan({ ...planSpec, readReason: 'changedBlocks' }, io)).rejects.toMatchObject({
    code: 'invalidInput',
  });
});

test('a restore goes on from its checkpoint, and a failing disk fails it', async () => {
  const lab = await Lab.start();
  const disk = new ModelDisk('os', 9000);
  disk.write(0, 9000, 3);
  await lab.backup([disk]);
  const table = await lab.table(1, 0, lab.nextSession());
  const sizeBytes = disk.content.length;
  const spec = {
    kind: 'restore' as const,
    chain: { id: lab.chain.id, blockBytes: lab.blockBytes },
    disk: 0,
    sizeBytes,
    table,
    pageFrom: 0,
    pageTo: 5,
    targetDiskId: 't',
  };
  const checkpoint = { page: 3, writtenBytes: 3 * 2 ** 20, blocks: 768 };
  const sink = new ModelSink(sizeBytes);
  const result = await runRestore(spec, lab.io(2, { sink, checkpoint }));
  expect(result).toEqual({ kind: 'restore', writtenBytes: sizeBytes, blocks: 1125 });
  expect(sink.content.subarray(3 * 2 ** 20).equals(disk.content.subarray(3 * 2 ** 20))).toBe(true);
  expect(Math.min(...sink.writes.map(({ offset }) => offset))).toBe(3 * 2 ** 20);
  let fired = 0;
  const broken: DiskSink = {
    sizeBytes,
    write: () => {
      fired++;
      return Promise.reject(new HoldfastError('accessExpired', 'the SAS is refused'));
    },
  };
  await expect(runRestore(spec, lab.io(3, { sink: broken }))).rejects.toMatchObject({
    code: 'accessExpired',
  });
  expect(fired).toBeGreaterThan(0);
  await expect(runRestore(spec, lab.io(3, { sink: new ModelSink(512) }))).rejects.toMatchObject({
    code: 'invalidInput',
  });
});

test('neighbouring blocks travel together: a restore makes few requests, and large writes', async () => {
  class CountingStore extends MemoryBlobStore {
    reads = 0;
    override read(...call: Parameters<MemoryBlobStore['read']>) {
      if (call[0].endsWith('.pack')) this.reads++;
      return super.read(...call);
    }
  }
  const data = new CountingStore('data');
  const lab = await Lab.start({ data });
  const disk = new ModelDisk('os', 8000);
  disk.write(0, 8000, 3);
  const { sources } = await lab.backup([disk]);
  expect(sources[0]?.reads.length).toBeLessThanOrEqual(8);
  data.reads = 0;
  const sink = await lab.restore(1, 0);
  // A header for each pack, and a range for each page that it serves.
  expect(data.reads).toBeLessThanOrEqual(20);
  expect(sink.writes.length).toBeLessThanOrEqual(8);
});

test("a worker's plan and page table cannot be read with another chain's keys", async () => {
  const { lab, source, moveSpec } = await planned();
  const other = await Lab.start();
  const io = { ...lab.io(2, { source }), chainKey: other.io(1).chainKey };
  await expect(runMove(moveSpec, io)).rejects.toMatchObject({ code: 'corruptObject', target: moveSpec.plan });
});
