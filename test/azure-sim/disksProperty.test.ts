import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type Arbitrary,
  array,
  assert,
  asyncProperty,
  constant,
  integer,
  nat,
  oneof,
  record,
} from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type DiskStore, openDiskStore } from '../../local/azure/disks/index.ts';
import { DiskModel } from './disksModel.ts';

const SECTORS = 200;

type Step =
  | { do: 'write' | 'clear'; disk: number; sector: number; count: number; fill: number }
  | { do: 'snapshot'; pick: number }
  | { do: 'delete'; pick: number }
  | { do: 'clone'; pick: number; grow: number }
  | { do: 'resize'; disk: number; grow: number }
  | { do: 'reopen' };

const pick = nat({ max: 1000 });
const span = {
  disk: pick,
  sector: nat({ max: SECTORS }),
  count: integer({ min: 1, max: 40 }),
  fill: integer({ min: 1, max: 255 }),
};
const step: Arbitrary<Step> = oneof(
  { weight: 8, arbitrary: record({ do: constant('write' as const), ...span }) },
  { weight: 4, arbitrary: record({ do: constant('clear' as const), ...span }) },
  { weight: 4, arbitrary: record({ do: constant('snapshot' as const), pick }) },
  { weight: 3, arbitrary: record({ do: constant('delete' as const), pick }) },
  { weight: 1, arbitrary: record({ do: constant('clone' as const), pick, grow: nat({ max: 20 }) }) },
  {
    weight: 1,
    arbitrary: record({ do: constant('resize' as const), disk: pick, grow: nat({ max: 20 }) }),
  },
  { weight: 1, arbitrary: record({ do: constant('reopen' as const) }) },
);

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'holdfast-disks-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function collect<T>(list: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of list) all.push(item);
  return all;
}

/** Everything a reader can see of the store equals the model. */
async function agree(store: DiskStore, model: DiskModel): Promise<void> {
  expect(store.list().sort()).toEqual([...model.heads.keys()].sort());
  for (const [id, head] of model.heads) {
    expect(store.describe(id)).toMatchObject({ kind: head.kind, sizeBytes: head.sizeBytes });
    expect([id, (await store.read(id, 0, head.sizeBytes)).equals(model.read(id))]).toEqual([id, true]);
    expect([id, await collect(store.ranges(id))]).toEqual([id, model.ranges(id)]);
    for (const [other, previous] of model.heads) {
      const older =
        previous.kind === 'snapshot' && (head.kind === 'disk' || previous.sequence <= head.sequence);
      if (previous.lineage === head.lineage && older) {
        expect([id, other, await collect(store.diff(id, other))]).toEqual([id, other, model.diff(id, other)]);
      } else {
        await expect(collect(store.diff(id, other))).rejects.toMatchObject({
          code: previous.lineage === head.lineage ? 'previousIsNewer' : 'otherLineage',
        });
      }
    }
  }
}

async function play(steps: readonly Step[], dir: string): Promise<void> {
  const model = new DiskModel();
  let store = await openDiskStore(dir);
  await store.create('disk0', SECTORS * 512);
  model.create('disk0', SECTORS * 512);
  let names = 1;
  const idsOf = (kind?: 'disk') =>
    [...model.heads].filter(([, head]) => !kind || head.kind === kind).map(([id]) => id);
  const choose = (ids: string[], number: number) => ids[number % ids.length] as string;
  for (const now of steps) {
    if (now.do === 'reopen') {
      await store.close();
      store = await openDiskStore(dir);
      await agree(store, model);
    } else if (now.do === 'snapshot' || now.do === 'delete' || now.do === 'clone') {
      const id = choose(idsOf(now.do === 'snapshot' ? 'disk' : undefined), now.pick);
      const name = `${now.do}${names++}`;
      if (now.do === 'snapshot') {
        await store.snapshot(id, name);
        model.copy('snapshot', id, name);
      } else if (now.do === 'clone') {
        const size = model.head(id).sizeBytes + now.grow * 512;
        await store.clone(id, name, size);
        model.copy('disk', id, name, size);
      } else if (id !== 'disk0') {
        await store.delete(id);
        model.heads.delete(id);
      }
    } else {
      const id = choose(idsOf('disk'), now.disk);
      const { sizeBytes } = model.head(id);
      if (now.do === 'resize') {
        await store.resize(id, sizeBytes + now.grow * 512);
        model.head(id).sizeBytes = sizeBytes + now.grow * 512;
        continue;
      }
      const offset = (now.sector * 512) % sizeBytes;
      const length = Math.min(now.count * 512, sizeBytes - offset);
      if (now.do === 'write') {
        const bytes = Buffer.alloc(length, now.fill);
        await store.write(id, offset, bytes);
        model.write(id, offset, bytes);
      } else {
        await store.clear(id, offset, length);
        model.clear(id, offset, length);
      }
    }
  }
  await agree(store, model);
  await store.close();
  store = await openDiskStore(dir);
  await agree(store, model);
  await store.close();
}

test('reads, ranges and diffs equal a plain map of pages, through snapshots, copies, deletes, resizes and restarts', async () => {
  let run = 0;
  await assert(
    asyncProperty(array(step, { minLength: 1, maxLength: 60, size: 'max' }), async (steps) => {
      const dir = join(folder, `run${run++}`);
      await play(steps, dir);
      await rm(dir, { recursive: true });
    }),
    { numRuns: 60 },
  );
});
