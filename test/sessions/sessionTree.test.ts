import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type Machine,
  type Policy,
  policySchema,
  restorePointName,
  type Session,
} from '../../lib/model/index.ts';
import {
  cancelSession,
  forgetSessions,
  planRemoval,
  readOverview,
  readTree,
  requestPolicyRun,
  requestRemoval,
  type SessionNode,
  timesOf,
} from '../../lib/sessions/index.ts';
import { Lab, SUBSCRIPTION } from './lab.ts';

const DAY_MS = 86_400_000;

describe('sessions of a policy', () => {
  let lab: Lab;
  let machines: Machine[];
  beforeAll(async () => {
    lab = await Lab.start({ HOLDFAST_PARALLEL_MACHINES: '2' });
    machines = [await lab.machine('alpha', 1), await lab.machine('beta'), await lab.machine('gamma')];
  });
  afterAll(async () => {
    await lab.check();
    await lab.stop();
  });

  async function policy(id: string, over: object = {}): Promise<Policy> {
    const made = policySchema.parse({ id, scope: { all: true }, mover: 'inline', ...over });
    for (const { value } of await lab.installation.catalog.policies.list())
      await lab.installation.catalog.policies.remove(value.id);
    return (await lab.installation.catalog.policies.put(made)).value;
  }

  /** Runs a policy to its end; `beforeLook` before each look at its machines, whose sessions are then run. */
  async function run(
    of: Policy,
    scheduled: boolean,
    beforeLook: (look: number, run: Session) => Promise<void> = async () => undefined,
  ): Promise<Session> {
    const at = lab.clock.now();
    const slot = { at, region: null, late: false, makes: 'backup', flags: ['daily'], backupFlags: ['daily'] };
    const started = await requestPolicyRun(
      lab.installation,
      lab.instances,
      of,
      scheduled ? (slot as Parameters<typeof requestPolicyRun>[3]) : null,
    );
    let looks = 0;
    const before = lab.beforeActivity;
    lab.beforeActivity = async (name, input) => {
      await before(name, input);
      if (name !== 'backUpMachines') return;
      if ((input as { sessionId: string }).sessionId !== started.id) return;
      await beforeLook(++looks, started);
      await lab.run();
    };
    await lab.run();
    lab.beforeActivity = before;
    return lab.session(started.id);
  }
  const children = (id: string) => lab.installation.catalog.sessions.children(id);
  const names = (sessions: readonly Session[]) =>
    sessions.map(({ machineName }) => machineName ?? '').sort((a, b) => a.localeCompare(b));

  it('are a tree: the run, its machines, their disks, the shards of each, with phases, bytes and reasons', async () => {
    const ended = await run(await policy('everything'), false);
    expect(ended.status).toBe('succeeded');
    const tree = await readTree(lab.installation, ended);
    expect(names(tree.children.map(({ session }) => session))).toEqual(['alpha', 'beta', 'gamma']);
    const alpha = tree.children.find(({ session }) => session.machineName === 'alpha') as SessionNode;
    expect(
      alpha.disks.map(({ disk, shards }) => [disk.readReason, shards.map(({ id, state }) => [id, state])]),
    ).toEqual([
      [
        'first',
        [
          ['move-0-0', 'done'],
          ['plan-0', 'done'],
        ],
      ],
      [
        'first',
        [
          ['move-1-0', 'done'],
          ['plan-1', 'done'],
        ],
      ],
    ]);
    for (const { disk, shards } of alpha.disks) {
      const stored = shards.reduce((sum, { storedBytes }) => sum + storedBytes, 0);
      expect(stored).toBe(disk.storedBytes);
      expect(shards.every(({ attempt, owner }) => attempt === 1 && owner?.startsWith('app-'))).toBe(true);
    }
    const { phases } = timesOf(alpha.session, lab.clock.now());
    expect(phases.map(({ phase }) => phase)).toEqual(['starting', 'snapshot', 'plan', 'move', 'commit']);
    expect(phases.every(({ endedAt }) => endedAt !== null)).toBe(true);
    // One after the other, and together the whole session.
    const [first] = phases;
    expect(first?.startedAt).toBe(alpha.session.startedAt);
    const whole = Date.parse(alpha.session.endedAt ?? '') - Date.parse(alpha.session.startedAt);
    const seconds = phases.reduce((sum, phase) => sum + phase.seconds, 0);
    expect(Math.round(seconds * 1000)).toBe(whole);
  });

  it('the run says that it waited: three machines, two side by side', async () => {
    const ended = await run(await policy('paced'), false);
    const [wait] = ended.waits;
    expect(wait).toMatchObject({ kind: 'machines', times: 1, since: null });
    expect(wait?.seconds).toBeGreaterThan(0);
  });

  it('a session says how often it was refused for asking too much, also where the SDK tried again by itself', async () => {
    const [alpha] = machines as [Machine];
    lab.simulator.injectFault({
      match: { method: 'PUT', path: '/snapshots/holdfast-' },
      effect: {
        kind: 'respond',
        status: 429,
        code: 'TooManyRequests',
        message: 'slower',
        headers: { 'retry-after': '1' },
      },
      times: 2,
    });
    const session = await lab.backUp(alpha);
    expect(lab.simulator.faults.unfired()).toEqual([]);
    expect(session.status).toBe('succeeded');
    expect(timesOf(session, lab.clock.now()).throttling).toEqual({ calls: 2, seconds: 2 });
    expect((await readOverview(lab.installation)).bottlenecks).toContainEqual({
      wait: 'throttling',
      seconds: 2,
      sessions: 1,
      longest: { sessionId: session.id, seconds: 2 },
    });
  });

  it('cancelling the run cancels what it has started, and it starts no more', async () => {
    const ended = await run(await policy('stopped'), false, async (look, { id }) => {
      if (look !== 2) return;
      // Two are started and have not begun: now the run is cancelled.
      await cancelSession(lab.installation, id);
    });
    expect(ended).toMatchObject({ status: 'cancelled', error: { code: 'cancelled' } });
    const started = await children(ended.id);
    expect(started.map(({ status }) => status)).toEqual(['cancelled', 'cancelled']);
    expect(lab.simulator.activeGrants()).toEqual([]);
    expect(await lab.installation.catalog.intents.sessions()).toEqual([]);
    expect(await lab.installation.catalog.sessions.running()).toEqual([]);
  });

  it('a run that only waits ends at once when it is cancelled, and starts nothing afterwards', async () => {
    const stopped: string[] = [];
    const ended = await run(await policy('idle'), false, async (look, { id }) => {
      if (look === 1) stopped.push((await cancelSession(lab.installation, id)).status);
    });
    expect(stopped).toEqual(['cancelled']);
    expect(ended).toMatchObject({ status: 'cancelled', error: { code: 'cancelled' } });
    expect(await children(ended.id)).toEqual([]);
  });

  describe('tries of what failed', () => {
    /** Makes backups of these machines fail, so often each. Returns what ends it, and checks that it came to that. */
    function failBackups(of: Readonly<Record<string, number>>): () => void {
      const left = new Map(Object.entries(of));
      const { states } = lab.installation;
      const before = lab.beforeActivity;
      lab.beforeActivity = async (name, input) => {
        if (name !== 'snapshotDisk') return;
        const { sessionId } = input as { sessionId: string };
        const { machineName } = await lab.session(sessionId);
        const count = left.get(machineName ?? '') ?? 0;
        if (count === 0) return;
        left.set(machineName ?? '', count - 1);
        // What an earlier step found is lost, which no step of this session gets over.
        const row = await states.get(sessionId, 'state');
        if (row)
          await states.update({ ...row, document: { ...(row.document as object), opened: null } }, row.etag);
      };
      return () => {
        lab.beforeActivity = before;
        expect([...left.values()]).toEqual(Object.values(of).map(() => 0));
      };
    }

    it('a scheduled run tries failed machines again after ten minutes, and succeeds with them', async () => {
      const done = failBackups({ beta: 1 });
      const ended = await run(await policy('again'), true);
      done();
      expect([ended.status, ended.warnings]).toEqual(['succeeded', []]);
      const tries = (await children(ended.id))
        .filter(({ machineName }) => machineName === 'beta')
        .toSorted((a, b) => (a.startedAt < b.startedAt ? -1 : 1));
      expect(tries.map(({ status }) => status)).toEqual(['failed', 'succeeded']);
      const waited = Date.parse(tries[1]?.startedAt ?? '') - Date.parse(tries[0]?.endedAt ?? '');
      expect(waited).toBeGreaterThanOrEqual(600_000);
      expect(waited).toBeLessThan(600_000 + 60_000);
      expect((await children(ended.id)).length).toBe(4);
    });

    it('a run on request tries nothing again, and names what failed', async () => {
      const done = failBackups({ beta: 1 });
      const ended = await run(await policy('once'), false);
      done();
      expect(ended.status).toBe('warning');
      expect(ended.warnings).toEqual([expect.stringMatching(/^Machine beta: /)]);
      expect(names(await children(ended.id))).toEqual(['alpha', 'beta', 'gamma']);
    });

    it('so often as the policy says, then the run names the machine and its tries', async () => {
      const done = failBackups({ gamma: 3 });
      const ended = await run(await policy('thrice', { retry: { attempts: 2, waitMinutes: 1 } }), true);
      done();
      expect(ended.warnings).toEqual([expect.stringMatching(/^Machine gamma \(3 tries\): /)]);
      expect((await children(ended.id)).filter(({ machineName }) => machineName === 'gamma')).toHaveLength(3);
    });
  });

  describe('removal by hand', () => {
    const before = () => lab.clock.now().toISOString();
    const rows = (machine: Machine) => lab.installation.catalog.points.listMachine(machine.id);

    it('a dry run says what goes, and what stays because it is held; nothing is changed', async () => {
      const [alpha] = machines as [Machine];
      const known = await rows(alpha);
      const [first] = known;
      if (!first) throw new Error('no point');
      await lab.installation.catalog.points.noteState(first.point.chainId, first.point.sequence, {
        retention: { ...first.retention, hold: { by: 'audit', reason: 'case 12', until: null } },
        stateCounter: first.stateCounter,
      });
      const asked = { machineId: alpha.id, points: 'all', snapshots: 'all', before: before() } as const;
      const plan = await planRemoval(lab.installation, asked);
      expect(plan.points.map(({ verdict }) => verdict)).toEqual([
        'held',
        ...known.slice(1).map(() => 'goes'),
      ]);
      expect(plan.points[0]?.why).toContain('case 12');
      expect(plan.snapshots.length).toBeGreaterThan(0);
      expect(plan.consequences).toEqual([expect.stringContaining('reads these disks whole')]);
      expect(await rows(alpha)).toHaveLength(known.length);
    });

    it('one that is held is refused by name; of all, it stays, and the session says why', async () => {
      const [alpha] = machines as [Machine];
      const known = await rows(alpha);
      const held = restorePointName(known[0]?.point ?? { chainId: '', sequence: 0 });
      const ask = (points: 'all' | string[]) =>
        requestRemoval(
          lab.installation,
          lab.instances,
          { machineId: alpha.id, points, snapshots: 'none' },
          'test',
        );
      await expect(ask([held])).rejects.toMatchObject({ code: 'locked', target: held });
      await expect(ask(['0000000000000000/1'])).rejects.toMatchObject({ code: 'notFound' });
      const session = await ask('all');
      await lab.run();
      const ended = await lab.session(session.id);
      expect(ended).toMatchObject({ kind: 'removal', status: 'warning', machineName: 'alpha' });
      expect(ended.warnings).toEqual([expect.stringContaining(held)]);
      expect((await rows(alpha)).map(({ point }) => restorePointName(point))).toEqual([held]);
      const removed = lab.telemetry.of('holdfast.restorePoint.removed');
      expect(removed.filter(({ sessionId }) => sessionId === session.id)).toHaveLength(known.length - 1);
    });

    it('one by its name, and the snapshots of a machine; the next backup reads whole disks and says why', async () => {
      const [, beta] = machines as [Machine, Machine];
      const known = await rows(beta);
      const oldest = restorePointName(known[0]?.point ?? { chainId: '', sequence: 0 });
      await requestRemoval(
        lab.installation,
        lab.instances,
        { machineId: beta.id, points: [oldest], snapshots: 'policy' },
        'test',
      );
      await lab.run();
      expect((await rows(beta)).map(({ point }) => restorePointName(point))).toEqual(
        known.slice(1).map(({ point }) => restorePointName(point)),
      );
      const left: string[] = [];
      for await (const { tags, id } of lab.installation.azure.snapshots.list({
        subscriptionId: SUBSCRIPTION,
      }))
        if (tags['holdfast-machine'] === beta.id) left.push(id);
      expect(left).toEqual([]);
      const next = await lab.backUp(beta);
      expect(next.disks.map(({ readReason }) => readReason)).toEqual(['baseMissing']);
    });
  });

  it('are forgotten after their days, with jobs and states; restore points stay whole without them', async () => {
    const { catalog, queue, states } = lab.installation;
    const [, , gamma] = machines as [Machine, Machine, Machine];
    const kept = (await catalog.points.listMachine(gamma.id)).at(-1)?.point;
    if (!kept) throw new Error('no point');
    const held = await lab.request(gamma);
    const later = new Date(lab.clock.now().getTime() + 91 * DAY_MS);
    const clock = { now: () => later, sleep: async () => undefined };
    const soon = { now: () => new Date(later.getTime() - 2 * DAY_MS), sleep: async () => undefined };
    expect(await forgetSessions({ ...lab.installation, clock: soon }, 60_000)).toMatchObject({ sessions: 0 });
    const { sessions: before } = await catalog.sessions.list({ limit: 200 });
    const forgotten = await forgetSessions({ ...lab.installation, clock }, 60_000);
    expect(forgotten).toMatchObject({ sessions: before.length - 1, complete: true });
    // What runs is not forgotten, however old.
    const { sessions: after } = await catalog.sessions.list({ limit: 200 });
    expect(after.map(({ id }) => id)).toEqual([held.id]);
    for (const { id } of before.filter((session) => session.id !== held.id)) {
      expect(await states.get(id, 'state')).toBe(null);
      expect((await queue.status(gamma.location, id)).jobs).toEqual([]);
    }
    await cancelSession(lab.installation, held.id);
    await lab.run();
    const restored = await lab.restore({ restorePoint: restorePointName(kept) });
    expect(restored.status).toBe('succeeded');
  });
});
