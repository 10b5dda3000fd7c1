import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Machine, MiB } from '../../lib/model/index.ts';
import { sweep } from '../../lib/sessions/index.ts';
import { Lab } from './lab.ts';
import { Terminated } from './runOrchestrator.ts';

/** The activities of a backup, in the order in which one can be ended. */
const PHASES = [
  'openSession',
  'snapshotDisk',
  'watchSnapshots',
  'readChanges',
  'uploadShard',
  'collectShards',
  'dispatchShards',
  'commitRestorePoint',
  'releaseGrants',
  'deallocateWorker',
  'closeSession',
] as const;

describe('left alone', () => {
  let lab: Lab;
  let machine: Machine;
  let osDisk = '';
  beforeAll(async () => {
    lab = await Lab.start();
    machine = await lab.machine('lonely', 1);
    const { disks } = await lab.installation.azure.machines.readConfiguration(machine.armId);
    osDisk = disks[0]?.id ?? '';
    await lab.backUp(machine);
  });
  afterAll(async () => {
    await lab.check();
    await lab.stop();
  });

  const nothingIsLeft = async () => {
    const { catalog } = lab.installation;
    expect(lab.simulator.activeGrants()).toEqual([]);
    expect(await catalog.intents.sessions()).toEqual([]);
    expect(await catalog.sessions.running()).toEqual([]);
    expect((await catalog.chains.list()).filter(({ holder }) => holder !== null)).toEqual([]);
  };
  const newestSnapshots = async () => {
    const scope = { subscriptionId: machine.subscriptionId, resourceGroup: machine.resourceGroup };
    const sessions = new Set<string>();
    for await (const { tags } of lab.installation.azure.snapshots.list(scope))
      sessions.add(tags['holdfast-session'] ?? '');
    return sessions;
  };

  it.each(PHASES)(
    'a run that is terminated before %s leaves nothing after one sweep, and the next run is incremental',
    async (phase) => {
      await lab.write(osDisk, 5 * MiB, Buffer.from(`before ${phase}`.padEnd(512)));
      let struck = false;
      lab.beforeActivity = (name) => {
        if (name !== phase || struck) return;
        struck = true;
        throw new Terminated(phase);
      };
      const session = await lab.backUp(machine);
      lab.beforeActivity = () => undefined;
      expect(struck).toBe(true);
      expect(session.status).toBe('running');

      const swept = await sweep(lab.installation, lab.instances);
      expect(swept).toEqual({ ended: [session.id], left: [] });
      await nothingIsLeft();
      const ended = await lab.session(session.id);
      const committed = PHASES.indexOf(phase) > PHASES.indexOf('commitRestorePoint');
      expect([ended.status, ended.error?.code ?? null]).toEqual(
        committed ? ['succeeded', null] : ['failed', 'abandoned'],
      );
      expect((await newestSnapshots()).has(session.id)).toBe(committed);

      const next = await lab.backUp(machine);
      expect(next.status).toBe('succeeded');
      expect(next.disks.map(({ readReason }) => readReason)).toEqual(['changedBlocks', 'changedBlocks']);
      await nothingIsLeft();
    },
  );

  it('a commit whose answer was lost is a restore point: the sweep records it', async () => {
    lab.beforeActivity = async (name, input) => {
      if (name !== 'commitRestorePoint') return;
      lab.beforeActivity = () => undefined;
      await lab.activity(name, input);
      throw new Terminated(name);
    };
    const session = await lab.backUp(machine);
    await sweep(lab.installation, lab.instances);
    expect(await lab.session(session.id)).toMatchObject({ status: 'succeeded', error: null });
    const { restorePoint } = await lab.session(session.id);
    const rows = await lab.installation.catalog.points.listMachine(machine.id);
    expect(rows.at(-1)?.point).toMatchObject({ sequence: restorePoint?.sequence, sessionId: session.id });
    await nothingIsLeft();
  });

  it('an instance that is purged is missed after two minutes, not before', async () => {
    const session = await lab.request(machine);
    await lab.activity('openSession', { sessionId: session.id });
    await lab.activity('snapshotDisk', { sessionId: session.id, set: 1, disk: 0 });
    lab.purge(session.instanceId);
    // A row is written before its instance is started: a missing instance may be about to begin.
    expect(await sweep(lab.installation, lab.instances)).toEqual({ ended: [], left: [] });
    lab.clock.advance(2 * 60_000);
    expect(await sweep(lab.installation, lab.instances)).toEqual({ ended: [session.id], left: [] });
    await nothingIsLeft();
  });

  it('a session that runs and gives signs of life is left alone', async () => {
    const session = await lab.request(machine);
    await lab.activity('openSession', { sessionId: session.id });
    expect(await sweep(lab.installation, lab.instances)).toEqual({ ended: [], left: [] });
    await lab.run();
    expect((await lab.session(session.id)).status).toBe('succeeded');
  });

  it.each(PHASES.slice(1, 8))(
    'a run that is cancelled before %s ends by itself and leaves nothing',
    async (phase) => {
      let struck = false;
      lab.beforeActivity = async (name, input) => {
        if (name !== phase || struck) return;
        struck = true;
        await lab.installation.catalog.sessions.requestCancel((input as { sessionId: string }).sessionId);
      };
      const session = await lab.backUp(machine);
      lab.beforeActivity = () => undefined;
      expect(struck).toBe(true);
      expect(session).toMatchObject({ status: 'cancelled', error: { code: 'cancelled' } });
      await nothingIsLeft();
      expect((await newestSnapshots()).has(session.id)).toBe(false);
    },
  );
});
