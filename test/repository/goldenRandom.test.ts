import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  checkRepository,
  compact,
  MemoryBlobStore,
  planCompaction,
  removePoint,
  takeOwnership,
  type Unlock,
} from '../../lib/repository/index.ts';
import { Lab } from '../datapath/lab.ts';
import { ModelDisk } from '../datapath/modelDisk.ts';
import { IndependentReader } from './independentReader.ts';

const NOW = new Date();
/** When removed points are no roots any more. */
const LATER = new Date(NOW.getTime() + 8 * 24 * 3600_000);

/** Compares every disk of every point that is left with what was backed up. */
async function mustReadSame(lab: Lab, password: string | null): Promise<void> {
  const objects = { meta: new Map<string, Buffer>(), data: new Map<string, Buffer>() };
  for (const container of ['meta', 'data'] as const) {
    for await (const { name } of lab[container].list(''))
      objects[container].set(name, (await lab[container].read(name)).bytes);
  }
  const reader = new IndependentReader(
    { meta: (name) => objects.meta.get(name) ?? null, data: (name) => objects.data.get(name) ?? null },
    password,
  );
  for (const [sequence, snapshots] of lab.truth) {
    const { disks } = reader.manifest(lab.chain.id, sequence);
    expect(disks.map(({ uniqueId }) => uniqueId)).toEqual([...snapshots.keys()]);
    for (const { number, uniqueId } of disks) {
      const content = reader.disk(lab.chain.id, sequence, number);
      if (!snapshots.get(uniqueId)?.content.equals(content))
        throw new Error(`${uniqueId} of point ${sequence} reads wrongly`);
    }
  }
}

const write = fc.record({
  disk: fc.nat(1),
  at: fc.nat(2900),
  count: fc.integer({ min: 1, max: 300 }),
  seed: fc.integer({ min: -1, max: 5 }),
});

test.each<[string, Unlock, string | null]>([
  ['encrypted', { password: 'correct horse' }, 'correct horse'],
  ['unencrypted', { mode: 'none' }, null],
])(
  'the reader that knows only the format page reads any %s history, also after removals and compaction',
  async (_mode, unlock, password) => {
    let generations = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(write, { maxLength: 6 }), { minLength: 2, maxLength: 4 }),
        fc.constantFrom(4096, 16384),
        async (history, blockBytes) => {
          const lab = await Lab.start({ unlock, blockBytes, shardBytes: 300 * 1024 });
          const disks = [new ModelDisk('os', 3001), new ModelDisk('data', 4000)];
          for (const disk of disks) disk.write(10, 400, 3);
          for (const changes of history) {
            for (const { disk, at, count, seed } of changes) {
              if (seed < 0) disks[disk]?.discard(at, Math.min(count, 3001 - at));
              else disks[disk]?.write(at, Math.min(count, 3001 - at), seed);
            }
            await lab.backup(disks);
            for (const disk of disks) disk.write(0, 200, 4 + lab.truth.size);
          }
          await mustReadSame(lab, password);
          await removePoint(lab.chain, { sequence: 1, by: 'test', now: NOW });
          lab.truth.delete(1);
          await takeOwnership(lab.chain.repository, { installation: 'lab', now: NOW });
          const plan = await planCompaction(lab.chain, { now: LATER, minWasteBytes: 0 });
          const now = { ...plan, plannedAt: NOW.toISOString() };
          const { compacted } = await compact(lab.chain, now, { installation: 'lab' });
          generations += compacted;
          if (!(lab.data instanceof MemoryBlobStore)) throw new Error('a store in memory');
          for (const { pack } of plan.packs) await lab.data.remove(pack);
          await mustReadSame(lab, password);
          const { findings } = await checkRepository({ ...lab.stores, unlock, depth: 'content' });
          expect(findings).toEqual([]);
        },
      ),
      { numRuns: 8 },
    );
    expect(generations).toBeGreaterThan(0);
  },
  60_000,
);
