import type { Calendar, Flag, PointRetention, RetentionRules, SnapshotRules } from '../model/index.ts';
import { isoDate, type Slot, slotsAfter, wallClock, zoneOf } from '../schedule/index.ts';
import { planRetention, type RetentionPoint, rememberDates } from './pointRetention.ts';
import { planSnapshots, type RetainedSnapshot } from './snapshotRetention.ts';

/** One restore point or set of snapshots on one day of a simulation. */
export interface SimulatedItem {
  readonly kind: 'restorePoint' | 'snapshot';
  readonly takenAt: Date;
  /** The flags that are on at the end of the day, or were when it went. */
  readonly flags: readonly Flag[];
  readonly why: string;
}

export interface SimulatedDay {
  /** `2026-05-01`, in the calendar's zone. */
  readonly date: string;
  /** The slots of the day. */
  readonly made: readonly Slot[];
  /** What is there at the end of the day, newest first, restore points before snapshots. */
  readonly stays: readonly SimulatedItem[];
  /** What went on this day. */
  readonly goes: readonly SimulatedItem[];
}

export interface SimulatedRetention {
  readonly backups: RetentionRules;
  /** Null: snapshots are kept only as bases. */
  readonly snapshots: SnapshotRules | null;
}

export interface SimulationOptions {
  /** Restore points that are there at the beginning: what would become of those of a real machine. */
  readonly existing?: readonly RetentionPoint[];
  /** From here on the policy is gone: nothing is made, and each point goes by its own rules. */
  readonly policyEndsAt?: Date;
}

interface World {
  points: RetentionPoint[];
  snapshots: RetainedSnapshot[];
  base: string | null;
}

/**
 * What exists at the end of each day in `[from, to)`, what went on it, and why, if every run succeeds. Each slot makes its
 * snapshots and restore point at its time; retention is looked at when the day is over. (It runs after each backup too. That
 * takes things away some hours earlier, and nothing else: what it drops stays dropped.)
 *
 * The days are those of the calendar's time zone; a calendar in the time of a region is placed first (`inRegion`).
 */
export function* simulateRetention(
  calendar: Calendar,
  retention: SimulatedRetention,
  from: Date,
  to: Date,
  options: SimulationOptions = {},
): Generator<SimulatedDay, void, undefined> {
  const clock = wallClock(zoneOf(calendar));
  const datesOf = rememberDates();
  const world: World = { points: [...(options.existing ?? [])], snapshots: [], base: null };
  const last = clock.at(new Date(to.getTime() - 1)).day;
  const slots = slotsAfter(calendar, new Date(from.getTime() - 1));
  let next = slots.next();
  for (let day = clock.at(from).day; day <= last; day++) {
    const end = new Date(Math.min(clock.instantOf(day + 1, 0), to.getTime()));
    const stop = Math.min(end.getTime(), options.policyEndsAt?.getTime() ?? Number.POSITIVE_INFINITY);
    const made: Slot[] = [];
    for (; next.done !== true && next.value.at.getTime() < stop; next = slots.next()) made.push(next.value);
    for (const slot of made) add(world, slot, retention);
    const alive = options.policyEndsAt === undefined || end <= options.policyEndsAt;
    yield { date: isoDate(day), made, ...retain(world, retention, alive, end, datesOf) };
  }
}

function add(world: World, { at, makes, flags, backupFlags }: Slot, retention: SimulatedRetention): void {
  const takenAt = at.toISOString();
  world.snapshots.push({
    id: takenAt,
    setId: takenAt,
    takenAt,
    origin: retention.snapshots === null ? 'temporary' : 'policy',
    flags,
    keep: retention.snapshots?.keep ?? null,
    hold: null,
    expiresAt: null,
  });
  if (makes !== 'backup') return;
  const sequence = world.points.reduce((top, point) => Math.max(top, point.sequence), 0) + 1;
  const own: PointRetention = {
    flags: [...backupFlags],
    rules: retention.backups,
    hold: null,
    expiresAt: null,
  };
  world.points.push({ sequence, takenAt, retention: own, damaged: false });
  world.base = takenAt.toLowerCase();
}

function retain(
  world: World,
  retention: SimulatedRetention,
  policyIsThere: boolean,
  now: Date,
  datesOf: ReturnType<typeof rememberDates>,
): Pick<SimulatedDay, 'stays' | 'goes'> {
  const stays: SimulatedItem[] = [];
  const goes: SimulatedItem[] = [];
  const points: RetentionPoint[] = [];
  for (const { item, keep, why, flags, rules } of planRetention(
    world.points,
    policyIsThere ? retention.backups : null,
    now,
    datesOf,
  )) {
    const shown = { kind: 'restorePoint', takenAt: new Date(item.takenAt), why } as const;
    if (keep) {
      points.unshift({ ...item, retention: { ...item.retention, flags: [...flags], rules } });
      stays.push({ ...shown, flags });
    } else goes.push({ ...shown, flags: item.retention.flags });
  }
  const snapshots: RetainedSnapshot[] = [];
  const rules = policyIsThere ? retention.snapshots : null;
  const bases = new Set(world.base === null || !policyIsThere ? [] : [world.base]);
  for (const { item, keep, why, flags } of planSnapshots(
    [...world.snapshots].reverse(),
    rules,
    bases,
    now,
    datesOf(retention.snapshots?.timeZone ?? 'UTC'),
  )) {
    const shown = { kind: 'snapshot', takenAt: new Date(item.takenAt), why } as const;
    if (keep) {
      snapshots.unshift(item);
      stays.push({ ...shown, flags });
    } else goes.push({ ...shown, flags: item.flags });
  }
  world.points = points;
  world.snapshots = snapshots;
  return { stays, goes };
}
