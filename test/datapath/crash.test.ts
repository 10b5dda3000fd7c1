import { describe, expect, test } from 'vitest';
import { checkRepository, decidedSequences, readManifest } from '../../lib/repository/index.ts';
import { Crash, CrashingStore, CrashPlan, copyStore } from './faultyStore.ts';
import { Lab } from './lab.ts';
import { ModelDisk, type ModelSnapshot } from './modelDisk.ts';

/** A lab with one committed point of a small disk, and the disk changed since. */
async function started(): Promise<{ lab: Lab; disk: ModelDisk }> {
  const lab = await Lab.start({ shardBytes: 64 * 1024 });
  const disk = new ModelDisk('os', 2400);
  disk.write(0, 300, 3);
  await lab.backup([disk]);
  disk.write(10, 20, 5);
  disk.write(2300, 40, 6);
  disk.discard(100, 32);
  return { lab, disk };
}

async function copyOf(lab: Lab, plan?: CrashPlan): Promise<Lab> {
  const [meta, data, staging] = await Promise.all([lab.meta, lab.data, lab.staging].map(copyStore));
  if (!meta || !data || !staging) throw new Error('no copy');
  const stores = plan
    ? {
        meta: new CrashingStore(meta, plan),
        data: new CrashingStore(data, plan),
        staging: new CrashingStore(staging, plan),
      }
    : { meta, data, staging };
  const copy = new Lab({ ...stores, shardBytes: lab.shardBytes });
  for (const [sequence, truth] of lab.truth) copy.truth.set(sequence, truth);
  copy.chain = lab.chain;
  return copy;
}

const SESSION = '01jd0000000000000000';

/** One process: opens the repository and runs the session up to its commit. */
async function runSession(lab: Lab, disk: ModelDisk, attempt: number): Promise<void> {
  await lab.reopen();
  await lab.commit(await lab.prepare([disk], { attempt, random: () => 0.5 }, SESSION));
}

describe('a writer that dies at any storage call', () => {
  for (const when of ['before', 'after'] as const) {
    test(`leaves a sound repository (the call is lost ${when} it takes effect)`, async () => {
      const { lab, disk } = await started();
      const dry = new CrashPlan(Infinity, when);
      await runSession(await copyOf(lab, dry), disk, 1);
      expect(dry.calls).toBeGreaterThan(30);
      for (let n = 1; n <= dry.calls; n++) {
        const plan = new CrashPlan(n, when);
        const dying = await copyOf(lab, plan);
        const snapshot = disk.snapshot();
        await expect(runSession(dying, disk, 1), `call ${n}`).rejects.toBeInstanceOf(Crash);
        expect(plan.fired, `call ${n} did not fail`).toBe(true);

        const next = await survivors(lab, dying);
        await next.reopen();
        await sound(next, disk, snapshot);
        // The session goes on in another process, under the next attempt; then another session follows.
        if (!next.truth.has(2)) await runSession(next, disk, 2);
        await sound(next, disk, snapshot);
        const later = await next.backup([disk]);
        expect(later.point.restorePoint.disks[0]?.readReason).toBe('changedBlocks');
        await sound(next, disk, snapshot);
      }
    }, 120_000);
  }
});

/** What the dead process left in the stores. */
async function survivors(lab: Lab, dying: Lab): Promise<Lab> {
  const next = new Lab({ ...inner(dying), shardBytes: lab.shardBytes });
  for (const [sequence, truth] of lab.truth) next.truth.set(sequence, truth);
  next.chain = lab.chain;
  return next;
}

const inner = (lab: Lab) => {
  const unwrap = (store: unknown) => (store instanceof CrashingStore ? store.inner : undefined);
  const [meta, data, staging] = [lab.meta, lab.data, lab.staging].map(unwrap);
  if (!meta || !data || !staging) throw new Error('not a crashing lab');
  return { meta, data, staging };
};

/** The checker finds nothing, and every committed point restores. */
async function sound(lab: Lab, disk: ModelDisk, snapshot: ModelSnapshot): Promise<void> {
  const { findings } = await checkRepository({ ...lab.stores, unlock: lab.unlock, depth: 'content' });
  expect(findings).toEqual([]);
  for (const sequence of await decidedSequences(lab.chain)) {
    const manifest = (await readManifest(lab.chain, sequence))?.manifest;
    if (manifest?.state !== 'point') continue;
    if (!lab.truth.has(sequence)) lab.truth.set(sequence, new Map([[disk.uniqueId, snapshot]]));
    await lab.mustRestore(sequence);
  }
}
