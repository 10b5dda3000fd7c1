import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Machine, MiB, protectionSchema, type Session } from '../../lib/model/index.ts';
import { cancelSession, doOneJob, requestBackup, sweep } from '../../lib/sessions/index.ts';
import { Lab } from './lab.ts';

/** Every step of a backup in which data can be moved by a worker, in the order of their first turn. */
const STEPS = [
  'openSession',
  'launchWorker',
  'snapshotDisk',
  'watchSnapshots',
  'readChanges',
  'watchWorker',
  'collectShards',
  'dispatchShards',
  'commitRestorePoint',
] as const;
/** And of one whose data the app moves itself. */
const INLINE_STEPS = [
  'openSession',
  'snapshotDisk',
  'watchSnapshots',
  'readChanges',
  'uploadShard',
  'collectShards',
  'dispatchShards',
  'commitRestorePoint',
] as const;
/** What a backup that succeeded begins. */
const AFTERWARDS = ['startRetention', 'startCopies'];
const ENDING = ['releaseGrants', 'deallocateWorker', 'closeSession'];

/** Jobs are planned in the first turns of these steps, and moved in later ones. */
const AGAIN: Readonly<Record<string, number[]>> = {
  watchWorker: [1, 2],
  uploadShard: [1, 2, 4],
  collectShards: [1, 2],
};

let lab: Lab;
let machine: Machine;
let osDisk = '';
beforeAll(async () => {
  lab = await Lab.start();
  machine = await lab.machine('cancelled', 1);
  const { disks } = await lab.installation.azure.machines.readConfiguration(machine.armId);
  osDisk = disks[0]?.id ?? '';
  await lab.backUp(machine);
});
afterAll(async () => {
  await lab.check();
  await lab.stop();
});

describe.each([
  ['worker', STEPS],
  ['inline', INLINE_STEPS],
] as const)('a cancelled backup, by %s', (mover, steps) => {
  /** Stands in for the worker VM: it reports, and does the session's jobs. */
  async function playWorker(name: string, sessionId: string): Promise<void> {
    const { catalog, fleet } = lab.installation;
    const held = (await catalog.workers.list()).find(({ value }) => value.holder === sessionId);
    if (name === 'watchWorker' && held) await fleet.seen(held.value);
    if (name === 'collectShards') while (!(await doOneJob(lab.installation, sessionId)).done);
  }

  /** Runs a backup; `strike` is called before each step of it, with the number of that step's turn. */
  async function run(
    strike: (name: string, turn: number, sessionId: string) => Promise<void>,
  ): Promise<{ session: Session; steps: string[] }> {
    const steps: string[] = [];
    let id = '';
    lab.beforeActivity = async (name, input) => {
      const { sessionId } = input as { sessionId: string };
      if (sessionId !== id) return;
      steps.push(name);
      await strike(name, steps.filter((step) => step === name).length, sessionId);
      const { cancelRequested } = await lab.session(sessionId);
      if (mover === 'worker' && !cancelRequested) await playWorker(name, sessionId);
    };
    const started = await requestBackup(lab.installation, lab.instances, {
      machine,
      protection: protectionSchema.parse({ mover }),
      reason: 'test',
      policyId: null,
      parentId: null,
    });
    id = started.id;
    await lab.run();
    lab.beforeActivity = () => undefined;
    return { session: await lab.session(id), steps };
  }

  async function nothingIsLeft(session: Session): Promise<void> {
    const { catalog, fleet, queue } = lab.installation;
    expect(lab.simulator.activeGrants()).toEqual([]);
    expect(await catalog.grants.list()).toEqual([]);
    expect(await catalog.sessions.running()).toEqual([]);
    expect((await catalog.chains.list()).filter(({ holder }) => holder !== null)).toEqual([]);
    // The worker is given back at once; its VM needs a moment to be gone, which the next sweep sees to.
    expect((await catalog.workers.list()).filter(({ value }) => value.state !== 'free')).toSatisfy(
      (rows: { value: { state: string } }[]) => rows.every(({ value }) => value.state === 'releasing'),
    );
    for (let sweeps = 0; sweeps < 5 && (await fleet.holders()).length > 0; sweeps++) {
      lab.clock.advance(2000);
      await sweep(lab.installation, lab.instances);
    }
    expect(await fleet.holders()).toEqual([]);
    expect(await catalog.intents.sessions()).toEqual([]);
    const snapshots: string[] = [];
    const scope = { subscriptionId: machine.subscriptionId, resourceGroup: machine.resourceGroup };
    for await (const { tags } of lab.installation.azure.snapshots.list(scope))
      if (tags['holdfast-session'] === session.id) snapshots.push(tags['holdfast-session']);
    expect(snapshots).toEqual([]);
    const { jobs } = await queue.status(machine.location, session.id);
    expect(jobs.filter(({ state }) => state === 'open' || state === 'claimed')).toEqual([]);
  }

  it('goes through these steps and no others', async () => {
    await lab.write(osDisk, 5 * MiB, Buffer.from('something to move'.padEnd(512)));
    const { session, steps: done } = await run(async () => undefined);
    expect(session.status).toBe('succeeded');
    // The VM was asked for, and had to report first.
    expect(session.waits.map(({ kind, times, since }) => [kind, times, since])).toEqual(
      mover === 'worker' ? [['launch', 1, null]] : [],
    );
    const named = [...new Set(done)].filter((name) => !ENDING.includes(name));
    expect(named.filter((name) => !AFTERWARDS.includes(name))).toEqual([...steps]);
  });

  const turns = (steps as readonly string[]).flatMap((step) =>
    (AGAIN[step] ?? [1]).map((turn): [string, number] => [step, turn]),
  );

  it.each(turns)(
    'before %s (turn %i) ends at once, leaves nothing, and the next run is incremental from the last point',
    async (step, turn) => {
      const before = (await lab.installation.catalog.points.listMachine(machine.id)).at(-1)?.point;
      await lab.write(osDisk, 5 * MiB, Buffer.from(`before ${step} ${turn} by ${mover}`.padEnd(512)));
      const { session, steps: done } = await run(async (name, count, id) => {
        if (name === step && count === turn) await cancelSession(lab.installation, id);
      });
      expect([session.status, session.error]).toMatchObject(['cancelled', { code: 'cancelled' }]);
      // Within one poll: what was about to be done says that it is cancelled, and then all is given back.
      const at = nth(done, step, turn);
      expect(at).toBeGreaterThanOrEqual(0);
      const later = done.slice(at + 1).filter((name) => name !== step);
      expect(later).toEqual(ENDING);
      await nothingIsLeft(session);

      const next = await lab.backUp(machine);
      expect(next.disks.map(({ readReason }) => readReason)).toEqual(['changedBlocks', 'changedBlocks']);
      const point = (await lab.installation.catalog.points.listMachine(machine.id)).at(-1)?.point;
      expect(point?.sessionId).toBe(next.id);
      expect(before?.sequence).toBeLessThan(point?.sequence ?? 0);
    },
  );
});

/** Where in a list something stands for the n-th time. */
function nth(list: readonly string[], what: string, n: number): number {
  let seen = 0;
  return list.findIndex((one) => one === what && ++seen === n);
}
