import { expect, it } from 'vitest';
import { FLAGS, type Flag, GiB, MiB, type Policy, protectionSchema, TiB } from '../../../lib/model/index.ts';
import { checkRepository, openChain, openPoint } from '../../../lib/repository/index.ts';
import {
  forgetSessions,
  holdPoint,
  readState,
  requestBackup,
  requestMaintenance,
  requestRetention,
  requestTending,
  tickSchedules,
} from '../../../lib/sessions/index.ts';
import type { ModelSlot } from '../../schedule/wallModel.ts';
import type { VirtualMachine } from '../virtual/cloud.ts';
import { bodyOf, type Content, PIECE } from '../virtual/disks.ts';
import { VirtualLab } from '../virtual/lab.ts';
import { keptSets, type Made, type ModelSet, type Track, YearModel } from './model.ts';
import { GRID, NIGHTLY, PROMISE, promiseIn } from './policies.ts';
import { yearOfSlots } from './slots.ts';

const BEGIN = Date.parse('2026-01-01T00:00:00Z');
const END = Date.parse('2027-01-01T00:00:00Z');
const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const at = (text: string): number => Date.parse(`2026-${text}:00Z`);

/** No tick, and no daily work, in these stretches: one over the end of summer time, one over a whole window. */
const OUTAGES = [
  ['05-20T00:00', '05-22T12:00'],
  ['10-24T20:00', '10-25T08:00'],
  ['12-18T17:00', '12-19T20:00'],
].map(([from = '', to = '']) => [at(from), at(to)] as const);

/** Snapshots of these machines fail in these stretches; the ends hit no run. */
const FAILURES = [
  ['b2', '04-10T12:00', '04-14T12:00'],
  ['a3', '09-05T12:00', '09-06T12:00'],
  ['c3', '10-30T12:00', '11-02T12:00'],
].map(([name = '', from = '', to = '']) => [name, at(from), at(to)] as const);

/** A year of the service over three policies, and beside it the model of what should be. */
class Year {
  readonly model = new YearModel();
  readonly policies = new Map<string, Policy>();
  readonly tracks: Track[];
  readonly ids = new Map<string, string>();
  /** What the model expects next of a machine, by its id; taken off when it happened. */
  readonly expected = new Map<string, { made: Made; policyId: string; succeeds: boolean }[]>();
  readonly sets = new Map<string, ModelSet[]>();
  readonly surprises: string[] = [];
  backups = 0;
  snapshotRuns = 0;
  #seed = 1;
  readonly #lab: VirtualLab;

  constructor(lab: VirtualLab) {
    this.#lab = lab;
    for (const policy of [NIGHTLY, GRID, PROMISE]) this.policies.set(policy.id, policy);
    const [nightly, promiseHere] = yearOfSlots(
      'Europe/Berlin',
      [NIGHTLY.calendar ?? promiseIn('UTC'), promiseIn('Europe/Berlin')],
      BEGIN,
      END,
    );
    const [grid, promiseThere] = yearOfSlots(
      'America/New_York',
      [GRID.calendar ?? promiseIn('UTC'), promiseIn('America/New_York')],
      BEGIN,
      END,
    );
    const track = (policyId: string, region: string | null, year = nightly): Track => {
      if (!year) throw new Error('no slots');
      return { policyId, region, year, since: BEGIN - 1, from: 0, fate: new Map() };
    };
    this.tracks = [
      track('nightly', null, nightly),
      track('grid', null, grid),
      track('promise', 'westeurope', promiseHere),
      track('promise', 'eastus', promiseThere),
    ];
    lab.afterActivity = (name, { sessionId }, outcome) => {
      if (!outcome.ok && name !== 'snapshotDisk' && name !== 'watchSnapshots')
        this.surprises.push(`${name}: ${outcome.failure.message}`);
      this.#heard.push(this.#hear(name, sessionId, outcome.ok));
    };
  }

  readonly #heard: Promise<void>[] = [];

  /** Everything that was heard is written down. */
  async caughtUp(): Promise<void> {
    await Promise.all(this.#heard.splice(0));
  }

  async #hear(name: string, sessionId: string, ok: boolean): Promise<void> {
    const { installation } = this.#lab;
    const now = this.#lab.clock.now().getTime();
    if (name === 'removeExpired' && ok) {
      const { request } = await readState(installation, sessionId, 'retention');
      for (const machine of request.machines ?? [...this.model.points.keys()])
        this.model.retain(machine, this.#policyOf(machine), now);
    }
    if (name !== 'closeSession') return;
    const session = await installation.catalog.sessions.get(sessionId);
    if ((session?.kind !== 'backup' && session?.kind !== 'snapshot') || session.machineId === null) return;
    const { request, snapshots } = await readState(installation, sessionId, 'backup');
    const good = session.status === 'succeeded' || session.status === 'warning';
    if (session.policyId === null) {
      if (!good || !snapshots) this.surprises.push(`the backup on demand: ${session.error?.message}`);
      else {
        const { retention } = request.protection;
        this.model.add(session.machineId, snapshots.takenAt, [], retention, request.expiresAt);
        this.#addSet(session.machineId, snapshots.takenAt, [], true);
      }
      return;
    }
    this.#compare(session.machineId, good, { ...request, takenAt: snapshots?.takenAt ?? '' });
  }

  #compare(
    machine: string,
    good: boolean,
    was: { makes: string; flags: readonly Flag[]; backupFlags: readonly Flag[]; takenAt: string },
  ): void {
    const next = this.expected.get(machine)?.[0];
    const words = (flags: readonly Flag[]) => [...flags].sort().join(',');
    const told = `${was.makes} ${words(was.flags)} / ${words(was.backupFlags)} ${good}`;
    const wanted = next
      ? `${next.made.backup ? 'backup' : 'snapshot'} ${words(next.made.flags)} / ${words(next.made.backupFlags)} ${next.succeeds}`
      : 'nothing';
    if (told !== wanted)
      this.surprises.push(
        `${this.#lab.clock.now().toISOString()} ${this.#nameOf(machine)}: ${told}, not ${wanted}`,
      );
    if (!next || (!good && !next.succeeds)) return;
    this.expected.get(machine)?.shift();
    const policy = this.policies.get(next.policyId);
    if (!policy || !good) return;
    if (next.made.backup) {
      this.backups++;
      this.model.add(machine, was.takenAt, next.made.backupFlags, policy.retention);
    } else this.snapshotRuns++;
    this.#addSet(machine, was.takenAt, next.made.flags, next.made.backup);
  }

  #addSet(machine: string, takenAt: string, flags: readonly Flag[], base: boolean): void {
    const before = (this.sets.get(machine) ?? []).map((set) => (base ? { ...set, base: false } : set));
    this.sets.set(machine, [...before, { takenAt, flags, base }]);
  }

  #nameOf(id: string): string {
    return [...this.ids].find(([, one]) => one === id)?.[0] ?? id;
  }

  machines(): VirtualMachine[] {
    return [...this.#lab.cloud.machines.values()];
  }

  /** The enabled policy of a machine that exists. */
  #policyOf(id: string): Policy | null {
    const found = this.machines().find(({ machine }) => machine.id === id);
    const policy = this.policies.get(found?.machine.tags['policy'] ?? '');
    return policy?.enabled ? policy : null;
  }

  add(name: string, policy: string, location: string): VirtualMachine {
    const made = this.#lab.cloud.addMachine(name, location, name.endsWith('2') ? [2 * MiB, MiB] : [2 * MiB], {
      policy,
    });
    this.ids.set(name, made.machine.id);
    for (const disk of made.disks) for (let n = 0; n < 4; n++) disk.write(n * 9, this.#seed++);
    return made;
  }

  get(name: string): VirtualMachine {
    const found = this.machines().find(({ machine }) => machine.name === name);
    if (!found) throw new Error(`no machine ${name}`);
    return found;
  }

  /** What guests do: each day each disk has a piece written, and now and then one cleared. */
  work(day: number): void {
    for (const { disks } of this.machines()) {
      for (const [i, disk] of disks.entries()) {
        if ((day + i) % 2 === 1) continue;
        disk.write((day * 5 + i) % Math.min(60, disk.sizeBytes / PIECE), this.#seed++);
        if (day % 11 === 0) disk.write((day * 3) % 60, 0);
      }
    }
  }

  async put(policy: Policy): Promise<void> {
    this.policies.set(policy.id, policy);
    await this.#lab.installation.catalog.policies.put(policy);
  }

  async tick(): Promise<void> {
    await this.caughtUp();
    const now = this.#lab.clock.now().getTime();
    for (const track of this.tracks) {
      const policy = this.policies.get(track.policyId);
      const there = this.machines().filter(
        ({ machine }) =>
          machine.tags['policy'] === track.policyId &&
          (track.region === null || machine.location === track.region),
      );
      if (!policy?.enabled || (track.region !== null && there.length === 0)) continue;
      const slot = this.model.tick(track, BEGIN, policy.sla !== null, now);
      if (slot) this.#expect(track, slot, there);
    }
    const { failures } = await tickSchedules(this.#lab.installation, this.#lab.instances);
    this.surprises.push(...failures);
  }

  #expect(track: Track, slot: ModelSlot, machines: readonly VirtualMachine[]): void {
    for (const { machine } of machines) {
      const succeeds = !this.#lab.cloud.failing.has(machine.name);
      const made = this.model.make(track, slot, machine.id, succeeds);
      const list = this.expected.get(machine.id) ?? [];
      // What failed, and was tried again in vain, is over when the next run begins.
      this.expected.set(machine.id, [
        ...list.filter((one) => one.succeeds),
        { made, policyId: track.policyId, succeeds },
      ]);
    }
  }

  async daily(day: number): Promise<void> {
    const { installation, instances } = this.#lab;
    await requestRetention(installation, instances, null, 'daily');
    if (day % 7 > 0) return;
    await requestTending(installation, instances, { kind: 'snapshotRetention', orphanDays: 30 }, 'weekly');
    await forgetSessions(installation, 10_000);
    if (day % 63 === 56)
      await requestMaintenance(
        installation,
        instances,
        { kind: 'collection', repository: 'default' },
        'daily',
      );
  }
}

/** Everything that the story does at certain moments. */
function story(year: Year, lab: VirtualLab): Map<number, () => Promise<void> | void> {
  const { cloud, installation, instances } = lab;
  let held: { chainId: string; sequence: number } | null = null;
  const large = cloud.newDisk('large', 4 * TiB - 40 * GiB);
  return new Map<number, () => Promise<void> | void>([
    [at('02-10T10:00'), () => void year.add('a5', 'nightly', 'westeurope')],
    [
      at('03-04T10:00'),
      async () => {
        const id = year.ids.get('a1') ?? '';
        const point = (await installation.catalog.points.listMachine(id)).at(-1)?.point;
        if (!point) throw new Error('nothing to hold');
        held = point;
        const hold = { by: 'ada', reason: 'audit', until: '2026-08-01T00:00:00Z' };
        await holdPoint(installation, point, hold);
        year.model.hold(id, point.takenAt, hold);
      },
    ],
    [at('03-15T10:00'), () => cloud.deleteMachine('b4')],
    [at('04-01T10:00'), () => void year.add('b4', 'grid', 'eastus')],
    [
      at('05-05T10:00'),
      () => {
        for (const disk of year.get('a1').disks) disk.sizeBytes += MiB;
      },
    ],
    [
      at('06-02T10:00'),
      () => {
        for (let n = 0; n < 6; n++) large.write(n * 30_000_000, 900_000 + n);
        year.get('a2').disks.push(large);
      },
    ],
    [at('06-05T10:00'), () => void (large.sizeBytes = 4 * TiB + 100 * GiB)],
    [at('06-09T10:00'), () => void year.get('a2').disks.pop()],
    [
      at('06-20T10:00'),
      async () => {
        await requestBackup(installation, instances, {
          machine: year.get('a4').machine,
          protection: protectionSchema.parse({ mover: 'inline' }),
          flags: [],
          expiresAt: '2026-09-20T10:00:00.000Z',
          reason: 'before the migration',
          policyId: null,
          parentId: null,
        });
      },
    ],
    // Fewer points by day, and no weekly ones any more: those that there are keep their rule.
    [
      at('07-01T10:00'),
      () =>
        year.put({
          ...NIGHTLY,
          retention: {
            ...NIGHTLY.retention,
            keep: { daily: { points: 3 }, monthly: { months: 4 }, yearly: { years: 2 } },
          },
        }),
    ],
    [at('08-01T12:00'), () => year.put({ ...GRID, enabled: false })],
    [
      at('08-20T12:00'),
      () => {
        const track = year.tracks.find(({ policyId }) => policyId === 'grid');
        if (track) track.since = track.from = at('08-20T12:00') - 60_000;
        return year.put(GRID);
      },
    ],
    // A swap: another disk in the same place.
    [at('09-03T10:00'), () => void year.get('c1').disks.splice(0, 1, swapped(lab))],
    [at('10-10T10:00'), () => void (detached = year.get('c2').disks.splice(1, 1))],
    [at('10-20T10:00'), () => void year.get('c2').disks.push(...detached)],
    [at('11-11T10:00'), () => cloud.deleteMachine('c4')],
    [
      at('11-20T10:00'),
      async () => {
        // Its time was over in August: nothing of it is left.
        const { removedAt } =
          (held && (await installation.catalog.points.get(held.chainId, held.sequence))) ?? {};
        if (typeof removedAt !== 'string') year.surprises.push('the held point is still there');
      },
    ],
  ]);
}
let detached: VirtualMachine['disks'] = [];

function swapped({ cloud }: VirtualLab): VirtualMachine['disks'][number] {
  const disk = cloud.newDisk('swapped', 2 * MiB);
  for (let n = 0; n < 5; n++) disk.write(n * 3, 800_000 + n);
  return disk;
}

it('a year of three policies loses no slot, doubles none, keeps what the rules keep, and restores all of it', async () => {
  const lab = await VirtualLab.start('2026-01-01T00:00:00Z');
  const year = new Year(lab);
  for (const policy of [NIGHTLY, GRID, PROMISE]) await year.put(policy);
  for (const name of ['a1', 'a2', 'a3', 'a4']) year.add(name, 'nightly', 'westeurope');
  for (const name of ['b1', 'b2', 'b3', 'b4']) year.add(name, 'grid', 'eastus');
  for (const name of ['c1', 'c2']) year.add(name, 'promise', 'westeurope');
  for (const name of ['c3', 'c4']) year.add(name, 'promise', 'eastus');

  const events = story(year, lab);
  const quiet = (moment: number) => OUTAGES.some(([from, to]) => moment > from && moment < to);
  const ticks = [
    ...year.tracks.flatMap((track) => track.year.slots.map((slot) => slot.at + 20_000)),
    ...Array.from({ length: 365 * 2 }, (_, n) => BEGIN + n * 12 * HOUR + 30_000),
    ...OUTAGES.map(([, to]) => to),
  ].filter((moment) => !quiet(moment));
  const days = Array.from({ length: 365 }, (_, n) => BEGIN + n * DAY + 17 * HOUR).filter(
    (moment) => !quiet(moment),
  );
  const moments = new Set([...ticks, ...days, ...events.keys()]);
  const tickAt = new Set(ticks);
  const dayAt = new Set(days);
  for (const moment of [...moments].sort((a, b) => a - b)) {
    await lab.passTo(new Date(moment));
    lab.cloud.failing.clear();
    for (const [name, from, to] of FAILURES) if (moment > from && moment < to) lab.cloud.failing.add(name);
    await year.caughtUp();
    await events.get(moment)?.();
    if (tickAt.has(moment)) await year.tick();
    if (!dayAt.has(moment)) continue;
    const day = (moment - BEGIN - 17 * HOUR) / DAY;
    year.work(day);
    await year.daily(day);
  }
  await lab.passTo(new Date(END));
  await lab.finish();
  await year.daily(0);
  await lab.finish();
  await year.caughtUp();
  expect(year.surprises).toEqual([]);
  expect([...year.expected.values()].flat().filter(({ succeeds }) => succeeds)).toEqual([]);
  expect(year.backups).toBeGreaterThan(1000);
  expect(year.snapshotRuns).toBeGreaterThan(150);

  await slotsAreAccountedFor(year, lab);
  await pointsAreThoseOfTheModel(year, lab);
  await pointsRestore(lab);
  snapshotsAreThoseOfTheRules(year, lab);
  const { meta, data } = await lab.installation.repository();
  const report = await checkRepository({ meta, data, unlock: { mode: 'none' }, depth: 'content' });
  expect(report.findings).toEqual([]);
  await nothingIsLeftAfterTheEnd(year, lab);
}, 600_000);

async function slotsAreAccountedFor({ tracks }: Year, { installation }: VirtualLab): Promise<void> {
  for (const { policyId, region, fate } of tracks) {
    const rows = await installation.catalog.slots.list({ policyId, region });
    const oldest = rows[0]?.slot ?? '';
    const known = rows.map(({ slot, state }) => `${slot} ${state === 'done' ? 'ran' : state}`);
    const model = [...fate]
      .map(([moment, what]) => `${new Date(moment).toISOString()} ${what}`)
      .sort()
      .filter((line) => line >= oldest);
    expect(known).toEqual(model);
    // Older rows are forgotten in time, with the sessions; what was made of them was compared when it happened.
    expect(known.length).toBeGreaterThan(10);
  }
}

async function pointsAreThoseOfTheModel({ model }: Year, { installation }: VirtualLab): Promise<void> {
  const { points } = installation.catalog;
  for (const id of await points.machines()) {
    const all = await points.listMachine(id, { removed: true });
    expect(all).toHaveLength(model.made.get(id) ?? 0);
    const left = all.filter(({ removedAt }) => removedAt === null);
    expect(left.map(({ point, retention }) => ({ takenAt: point.takenAt, ...retention }))).toEqual(
      (model.points.get(id) ?? []).map(({ takenAt, retention }) => ({
        takenAt,
        ...retention,
        flags: FLAGS.filter((flag) => retention.flags.includes(flag)),
      })),
    );
    const gone = all.filter(({ removedAt }) => removedAt !== null).map(({ removedWhy }) => removedWhy ?? '');
    expect(gone.filter((why) => !/ended|wanted|no rule|no longer held/.test(why))).toEqual([]);
  }
}

/** Every disk of every restore point that is left is what its snapshot showed. */
async function pointsRestore({ installation, cloud }: VirtualLab): Promise<void> {
  const repository = await installation.repository();
  let restored = 0;
  for (const machine of await installation.catalog.points.machines()) {
    for (const { point } of await installation.catalog.points.listMachine(machine)) {
      const open = await openPoint(await openChain(repository, point.chainId), point.sequence);
      for (const { number, snapshotId, sizeBytes } of point.disks) {
        const shown = cloud.shown.get(snapshotId.toLowerCase());
        if (!shown) throw new Error(`nobody ever saw ${snapshotId}`);
        expect(sizeBytes).toBe(shown.sizeBytes);
        const left = holding(shown);
        for await (const run of (await open.disk(number)).blocks()) {
          for (const { block, bytes } of run) {
            const seed = left.get(block) ?? 0;
            left.delete(block);
            if (!bytes.equals(seed === 0 ? Buffer.alloc(PIECE) : bodyOf(seed)))
              throw new Error(
                `block ${block} of disk ${number} of ${point.chainId}/${point.sequence} restores wrongly`,
              );
          }
        }
        expect(left.size).toBe(0);
        restored++;
      }
    }
  }
  expect(restored).toBeGreaterThan(80);
}

/** A block is as long as a piece. */
const holding = ({ pieces, sizeBytes }: Content): Map<number, number> =>
  new Map(
    [...pieces]
      .filter(([piece, { seed }]) => seed !== 0 && piece * PIECE < sizeBytes)
      .map(([piece, { seed }]) => [piece, seed]),
  );

function snapshotsAreThoseOfTheRules(year: Year, { cloud, clock }: VirtualLab): void {
  for (const { machine } of year.machines()) {
    const policy = year.policies.get(machine.tags['policy'] ?? '');
    if (!policy) throw new Error('no policy');
    const there = [...cloud.snapshots.values()].filter(
      ({ info }) => info.tags['holdfast-machine'] === machine.id,
    );
    const times = [...new Set(there.map(({ info }) => info.timeCreated ?? ''))].sort((a, b) =>
      a < b ? -1 : 1,
    );
    expect([machine.name, times]).toEqual([
      machine.name,
      keptSets(year.sets.get(machine.id) ?? [], policy, clock.now().getTime()),
    ]);
  }
}

/** Machines and policies go; then time passes. What has a time goes in time, and no snapshot is left. */
async function nothingIsLeftAfterTheEnd(year: Year, lab: VirtualLab): Promise<void> {
  for (const { machine } of year.machines()) lab.cloud.deleteMachine(machine.name);
  for (const id of [...year.policies.keys()]) {
    await lab.installation.catalog.policies.remove(id);
    year.policies.delete(id);
  }
  for (let week = 1; week <= 60; week++) {
    await lab.passTo(new Date(END + week * 7 * DAY));
    await year.daily(0);
    await lab.finish();
    await year.caughtUp();
  }
  expect(year.surprises).toEqual([]);
  expect([...lab.cloud.snapshots.keys()]).toEqual([]);
  await pointsAreThoseOfTheModel(year, lab);
}
