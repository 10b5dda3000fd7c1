import { beforeEach, describe, expect, it } from 'vitest';
import {
  HoldfastError,
  type Machine,
  type PolicyInput,
  policySchema,
  protectionSchema,
  type Session,
} from '../../lib/model/index.ts';
import { openChain, readPointState, writePointState } from '../../lib/repository/index.ts';
import {
  holdPoint,
  previewRetention,
  readRemoved,
  requestBackup,
  requestMaintenance,
  requestRetention,
} from '../../lib/sessions/index.ts';
import { VirtualLab } from './virtual/lab.ts';

const DAY = 86_400_000;

let lab: VirtualLab;
let machine: Machine;
beforeEach(async () => {
  lab = await VirtualLab.start('2026-03-01T12:00:00Z');
  machine = addMachine('one');
});

function addMachine(name: string): Machine {
  const made = lab.cloud.addMachine(name, 'westeurope', [1024 * 1024], { backup: 'yes' });
  made.disks[0]?.write(3, 7);
  return made.machine;
}

async function put(policy: Omit<PolicyInput, 'id' | 'scope'>): Promise<void> {
  const scope = { tags: [{ key: 'backup', value: 'yes' }] };
  await lab.installation.catalog.policies.put(
    policySchema.parse({ id: 'p', scope, mover: 'inline', ...policy }),
  );
}

/** A backup as the policy would have it made, and the retention after it; then so many days pass. */
async function backUp(flags: readonly ('daily' | 'weekly')[], days = 1, of = machine): Promise<Session> {
  const policy = (await lab.installation.catalog.policies.get('p'))?.value;
  const session = await requestBackup(lab.installation, lab.instances, {
    machine: of,
    protection: protectionSchema.parse({
      mover: 'inline',
      ...(policy ? { retention: policy.retention, snapshots: policy.snapshots } : {}),
    }),
    flags,
    reason: 'test',
    policyId: policy?.id ?? null,
    parentId: null,
  });
  await lab.finish();
  await pass(days);
  const ended = await lab.installation.catalog.sessions.get(session.id);
  if (!ended?.restorePoint) throw new Error(ended?.error?.message ?? 'no restore point');
  return ended;
}

const pass = (days: number) => lab.passTo(new Date(lab.clock.now().getTime() + days * DAY));

async function retain(
  of: Machine | null = null,
): Promise<NonNullable<Awaited<ReturnType<typeof readRemoved>>>> {
  const session = await requestRetention(lab.installation, lab.instances, of, 'test');
  await lab.finish();
  expect((await lab.installation.catalog.sessions.get(session.id))?.status).toBe('succeeded');
  const removed = await readRemoved(lab.installation, session.id);
  if (!removed) throw new Error('no retention');
  return removed;
}

const left = async (of = machine): Promise<string[]> =>
  (await lab.installation.catalog.points.listMachine(of.id)).map(
    ({ point, retention }) => `${point.sequence} ${retention.flags.join('+')}`,
  );
const rowOf = async (sequence: number) => {
  const rows = await lab.installation.catalog.points.listMachine(machine.id, { removed: true });
  const row = rows.find(({ point }) => point.sequence === sequence);
  if (!row) throw new Error(`no point ${sequence}`);
  return row;
};

describe('retention of restore points', () => {
  it('takes flags off one by one, removes the point with its last flag, and keeps the reason', async () => {
    await put({ retention: { keep: { daily: { points: 2 }, weekly: { points: 1 } } } });
    await backUp(['daily', 'weekly']);
    await backUp(['daily']);
    await backUp(['daily']);
    expect(await left()).toEqual(['1 weekly', '2 daily', '3 daily']);
    await backUp(['daily', 'weekly']);
    expect(await left()).toEqual(['3 daily', '4 daily+weekly']);
    expect((await rowOf(1)).removedWhy).toBe('weekly ended: older than the newest 1');
    expect((await rowOf(2)).removedWhy).toBe('daily ended: older than the newest 2');
    const { sessions } = await lab.installation.catalog.sessions.list({ kind: 'retention', limit: 50 });
    const last = await readRemoved(lab.installation, sessions[0]?.id ?? '');
    expect(
      last?.removed.filter(({ what }) => what === 'restorePoint').map(({ flags, why }) => `${flags}: ${why}`),
    ).toEqual(['W: weekly ended: older than the newest 1', 'D: daily ended: older than the newest 2']);
  });

  it('applies a changed rule to points that there are, and leaves them the rule of a schedule that was switched off', async () => {
    await put({ retention: { keep: { daily: { points: 9 }, weekly: { days: 20 } } } });
    for (const flags of [['weekly'], ['daily'], ['daily'], ['daily']] as const) await backUp(flags);
    await put({ retention: { keep: { daily: { points: 1 } } } });
    expect((await retain()).points).toBe(2);
    expect(await left()).toEqual(['1 weekly', '4 daily']);
    expect((await rowOf(1)).retention.rules?.keep).toEqual({ daily: { points: 1 }, weekly: { days: 20 } });
    await pass(17);
    await retain();
    expect(await left()).toEqual(['4 daily']);
  });

  it('goes by what the points carry while the policy is disabled, and when policy and machine are gone', async () => {
    await put({ retention: { keep: { daily: { days: 5 } }, keepLast: false } });
    for (let n = 0; n < 3; n++) await backUp(['daily']);
    await retain();
    await put({ enabled: false, retention: { keep: { daily: { days: 1 } }, keepLast: false } });
    // The retention after a backup goes by what was seen last, when the policy was enabled.
    await backUp(['daily'], 0);
    expect(await left()).toHaveLength(4);
    await retain();
    expect(await left()).toHaveLength(4);
    await lab.installation.catalog.policies.remove('p');
    lab.cloud.deleteMachine('one');
    await pass(3);
    await retain();
    expect(await left()).toEqual(['3 daily']);
    await pass(3);
    await retain();
    expect(await left()).toEqual([]);
  });

  it('ages points out by what they carry in a repository that the policy has left', async () => {
    await put({ retention: { keep: { daily: { days: 5 } }, keepLast: false } });
    for (let n = 0; n < 2; n++) await backUp(['daily']);
    await put({ storage: { repository: 'new' }, retention: { keep: { daily: { days: 90 } } } });
    await retain();
    expect(await left()).toEqual(['1 daily', '2 daily']);
    await pass(3);
    await retain();
    expect(await left()).toEqual(['2 daily']);
    await pass(1);
    await retain();
    expect(await left()).toEqual([]);
  });

  it('keeps what is held until it is released, also when only the repository knows of the hold', async () => {
    await put({ retention: { keep: { daily: { points: 1 } } } });
    const first = await backUp(['daily']);
    const point = first.restorePoint ?? { chainId: '', sequence: 0 };
    await holdPoint(lab.installation, point, { by: 'ada', reason: 'audit', until: null });
    await backUp(['daily']);
    expect(await left()).toEqual(['1 ', '2 daily']);
    await holdPoint(lab.installation, point, null);
    const chain = await openChain(await lab.installation.repository(), point.chainId);
    const hold = { by: 'eve', reason: 'lawsuit', until: null };
    await writePointState(chain, 1, (facts) => ({ ...facts, hold }), { now: lab.clock.now() });
    expect((await retain()).points).toBe(0);
    expect((await rowOf(1)).retention.hold).toEqual(hold);
    await holdPoint(lab.installation, point, null);
    expect((await retain()).removed.map(({ why }) => why)).toEqual(['no rule keeps it']);
    await expect(holdPoint(lab.installation, point, hold)).rejects.toMatchObject({ code: 'notFound' });
  });

  it('keeps an on-demand point until its expiry, beside the policy', async () => {
    await put({ retention: { keep: { daily: { points: 1 } } } });
    await requestBackup(lab.installation, lab.instances, {
      machine,
      protection: protectionSchema.parse({ mover: 'inline' }),
      flags: [],
      expiresAt: '2026-03-10T00:00:00.000Z',
      reason: 'before the migration',
      policyId: null,
      parentId: null,
    });
    await lab.finish();
    for (let n = 0; n < 3; n++) await backUp(['daily']);
    expect(await left()).toEqual(['1 ', '4 daily']);
    await pass(10);
    expect((await retain()).removed.map(({ why }) => why)).toEqual(['wanted until 2026-03-10']);
  });

  it('of all machines goes on, look by look, until everything is done', async () => {
    await put({ retention: { keep: { daily: { points: 40 } } } });
    const two = addMachine('two');
    for (let n = 0; n < 40; n++) for (const of of [machine, two]) await backUp(['daily'], 0, of);
    await put({ retention: { keep: { daily: { points: 2 } } } });
    let looks = 0;
    lab.afterActivity = (name) => void (looks += name === 'removeExpired' ? 1 : 0);
    const { points, removed } = await retain();
    expect({ points, listed: removed.filter(({ what }) => what === 'restorePoint').length }).toEqual({
      points: 76,
      listed: 76,
    });
    expect(looks).toBeGreaterThan(1);
    expect([await left(), await left(two)]).toEqual([
      ['39 daily', '40 daily'],
      ['39 daily', '40 daily'],
    ]);
  });

  it('says beforehand what would go, and why, and changes nothing', async () => {
    await put({ retention: { keep: { daily: { points: 1 } } } });
    await backUp(['daily']);
    await put({ retention: { keep: { daily: { days: 1 } } } });
    await backUp(['daily'], 0);
    const { policyId, decisions } = await previewRetention(lab.installation, machine.id);
    const points = decisions.filter(({ what }) => what === 'restorePoint');
    expect({ policyId, points: points.map(({ keep, why }) => [keep, why]) }).toEqual({
      policyId: 'p',
      points: [[true, 'daily until 2026-03-03, the newest']],
    });
  });

  it('is restored with the catalog: flags, rules and holds', async () => {
    await put({ retention: { keep: { daily: { points: 2 }, weekly: { weeks: 5 } } } });
    const { restorePoint } = await backUp(['daily', 'weekly']);
    for (let n = 0; n < 3; n++) await backUp(['daily']);
    await holdPoint(lab.installation, restorePoint ?? { chainId: '', sequence: 0 }, {
      by: 'ada',
      reason: 'audit',
      until: null,
    });
    const before = await lab.installation.catalog.points.listMachine(machine.id);
    expect(before[0]?.retention.flags).toEqual(['weekly']);
    const table = lab.tables.get('holdfastPoints');
    for await (const { partition, row, etag } of table?.query({}) ?? [])
      await table?.remove(partition, row, etag);
    await requestMaintenance(
      lab.installation,
      lab.instances,
      { kind: 'rescan', accept: [], repository: 'default' },
      'test',
    );
    await lab.finish();
    const after = await lab.installation.catalog.points.listMachine(machine.id);
    expect(after.map(({ retention, stateCounter }) => ({ retention, stateCounter }))).toEqual(
      before.map(({ retention, stateCounter }) => ({ retention, stateCounter })),
    );
    const chain = await openChain(await lab.installation.repository(), restorePoint?.chainId ?? '');
    expect((await readPointState(chain, 1))?.hold?.by).toBe('ada');
  });
});

describe('retention of snapshots', () => {
  const taken = (): string[] =>
    [...lab.cloud.snapshots.values()]
      .map(({ info }) => `${info.timeCreated?.slice(5, 10)} ${info.tags['holdfast-flags'] ?? ''}`)
      .sort();

  it('goes by flags, counts and times, and never takes the base or the newest', async () => {
    await put({
      retention: { keep: { daily: { points: 9 } } },
      snapshots: { retention: { keep: { daily: { points: 2 }, weekly: { days: 6 } } } },
    });
    await backUp(['daily', 'weekly']);
    for (let n = 0; n < 4; n++) await backUp(['daily']);
    expect(taken()).toEqual(['03-01 DW', '03-04 D', '03-05 D']);
    await pass(2);
    await retain();
    expect(taken()).toEqual(['03-04 D', '03-05 D']);
    await put({
      retention: { keep: { daily: { points: 9 } } },
      snapshots: { retention: { keep: { daily: { days: 1 } }, obsoleteAfter: { days: 15 } } },
    });
    await pass(30);
    const { removed } = await retain();
    expect(taken()).toEqual(['03-05 D']);
    expect(removed.map(({ what, why }) => `${what}: ${why}`)).toEqual([
      'snapshot: obsolete since 2026-03-19, whatever its flags say',
    ]);
  });

  it('keeps the base although newer snapshots fill the count, and lets it go when the next backup is the base', async () => {
    const snapshots = { retention: { keep: { daily: { points: 1 } } } };
    await put({ retention: { keep: { daily: { points: 9 } } }, snapshots });
    await backUp(['daily']);
    for (let n = 0; n < 2; n++) {
      await requestBackup(lab.installation, lab.instances, {
        machine,
        protection: protectionSchema.parse({ mover: 'inline', snapshots }),
        makes: 'snapshot',
        flags: ['daily'],
        reason: 'test',
        policyId: 'p',
        parentId: null,
      });
      await lab.finish();
      await pass(1);
    }
    expect(taken()).toEqual(['03-01 D', '03-03 D']);
    await backUp(['daily']);
    expect((await rowOf(2)).point.disks.map(({ readReason }) => readReason)).toEqual(['changedBlocks']);
    expect(taken()).toEqual(['03-04 D']);
  });

  it('leaves one that is locked, reports it, fails nothing, and takes it when the lock is off', async () => {
    await put({
      retention: { keep: { daily: { points: 9 } } },
      snapshots: { retention: { keep: { daily: { points: 2 } } } },
    });
    const { snapshots } = lab.installation.azure;
    const free = snapshots.startRemove.bind(snapshots);
    let refused = 0;
    const startRemove = (id: string) => {
      refused++;
      return Promise.reject(new HoldfastError('locked', 'A lock is on it.', { target: id }));
    };
    Object.assign(snapshots, { startRemove });
    for (let n = 0; n < 3; n++) await backUp(['daily']);
    expect(taken()).toEqual(['03-01 D', '03-02 D', '03-03 D']);
    expect(refused).toBe(1);
    const { sessions } = await lab.installation.catalog.sessions.list({ kind: 'retention', limit: 50 });
    expect(sessions.slice(0, 1)).toMatchObject([
      {
        status: 'warning',
        error: null,
        warnings: [expect.stringMatching(/of machine one was to go .*: a lock on it/)],
      },
    ]);
    Object.assign(snapshots, { startRemove: free });
    expect((await retain()).snapshots).toBe(1);
    expect(taken()).toEqual(['03-02 D', '03-03 D']);
  });
});
