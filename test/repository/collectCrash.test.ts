import { describe, expect, test } from 'vitest';
import { readManifest } from '../../lib/repository/index.ts';
import { Crash, CrashingStore, CrashPlan } from '../datapath/faultyStore.ts';
import { ModelDisk } from '../datapath/modelDisk.ts';
import { CollectLab, HOUR, OWNER } from './collectLab.ts';

/** What one process does, on its own view of the stores. */
interface Operation {
  readonly name: string;
  /** The repository that it begins with, and its disk. */
  readonly start: () => Promise<{ lab: CollectLab; disk: ModelDisk }>;
  readonly run: (lab: CollectLab) => Promise<unknown>;
  /** Storage calls that there are at least. */
  readonly calls: number;
  /** The point that it removes. */
  readonly removes?: number;
}

/** Points 2 and 3; 1 was removed a day ago and left a sparse pack, dead packs, and claims. */
async function withGarbage(): Promise<{ lab: CollectLab; disk: ModelDisk }> {
  const lab = await CollectLab.start(4096, 64 * 1024);
  const disk = new ModelDisk('os', 2400);
  disk.write(0, 200, 3);
  await lab.lab.backup([disk]);
  disk.write(0, 112, 5);
  await lab.lab.backup([disk]);
  disk.write(40, 8, 7);
  await lab.lab.backup([disk]);
  await lab.remove(1);
  lab.time.advance(25 * HOUR);
  return { lab, disk };
}

async function withGenerations(): Promise<{ lab: CollectLab; disk: ModelDisk }> {
  const started = await withGarbage();
  expect((await started.lab.compact()).done.compacted).toBeGreaterThan(0);
  started.lab.time.advance(25 * HOUR);
  return started;
}

const OPERATIONS: readonly Operation[] = [
  { name: 'removal', start: withGarbage, run: (lab) => lab.remove(2), calls: 2, removes: 2 },
  { name: 'collection', start: withGarbage, run: (lab) => lab.collect(), calls: 30 },
  { name: 'compaction', start: withGarbage, run: (lab) => lab.compact(), calls: 30 },
  { name: 'collection of compacted packs', start: withGenerations, run: (lab) => lab.collect(), calls: 30 },
];

describe.each(OPERATIONS)('$name that dies at any storage call', ({ start, run, calls, removes }) => {
  test.each(['before', 'after'] as const)(
    'leaves a sound repository that goes on (the call is lost %s it takes effect)',
    async (when) => {
      const { lab, disk } = await start();
      const dry = new CrashPlan(Infinity, when);
      await run(await lab.copy((store) => new CrashingStore(store, dry)));
      expect(dry.calls).toBeGreaterThanOrEqual(calls);
      for (let n = 1; n <= dry.calls; n++) {
        const plan = new CrashPlan(n, when);
        const dying = await lab.copy((store) => new CrashingStore(store, plan));
        // The last call gives the lease back: nobody minds that it fails.
        await run(dying).catch((error: unknown) => {
          if (!(error instanceof Crash)) throw error;
        });
        expect(plan.fired, `call ${n} did not fail`).toBe(true);

        const next = dying.survivors((store) => (store instanceof CrashingStore ? store.inner : store));
        expect((await next.check()).findings, `call ${n}`).toEqual([]);
        await sound(next, removes);
        await run(next);
        await goesOn(next, disk);
      }
    },
    300_000,
  );
});

/** Committed points restore; one whose removal was under way is there, or is not. */
async function sound(lab: CollectLab, removes: number | undefined): Promise<void> {
  if (removes !== undefined && (await readManifest(lab.chain, removes))?.manifest.state === 'void')
    lab.lab.truth.delete(removes);
  await lab.mustHold();
}

/** The next backup, collection and compaction work, and at last only what is needed is left. */
async function goesOn(lab: CollectLab, disk: ModelDisk): Promise<void> {
  const { point } = await lab.lab.backup([disk]);
  expect(point.restorePoint.disks[0]?.readReason).toBe('changedBlocks');
  for (let cycle = 0; cycle < 2; cycle++) {
    lab.time.advance(25 * HOUR);
    await lab.collect(OWNER);
    await lab.compact(OWNER);
  }
  lab.time.advance(25 * HOUR);
  await lab.collect(OWNER);
  await lab.mustHold();
  expect(await lab.check()).toMatchObject({ findings: [], garbage: [] });
}
