/**
 * What should have happened in the year: which slots ran, what each machine got of them with which flags, and what is left of it
 * by the plain words of the rules. It knows nothing of the program but the shapes of policies.
 */
import type { RetentionPoint } from '../../../lib/chain/index.ts';
import type { Flag, Hold, Policy, RetentionRules } from '../../../lib/model/index.ts';
import { modelExpiry, modelRetention } from '../../chain/retentionModel.ts';
import type { ModelSlot } from '../../schedule/wallModel.ts';
import type { YearOfSlots } from './slots.ts';

const MINUTE = 60_000;
const GRACE = 2 * MINUTE;

/** Slots of one policy in one region (or everywhere). */
export interface Track {
  readonly policyId: string;
  readonly region: string | null;
  readonly year: YearOfSlots;
  since: number;
  /** Slots before are owed to nobody. */
  from: number;
  /** What became of each slot that came due, by its time. */
  readonly fate: Map<number, 'ran' | 'missed'>;
}

export interface Made {
  readonly machine: string;
  readonly backup: boolean;
  readonly flags: readonly Flag[];
  readonly backupFlags: readonly Flag[];
}

interface ModelMachine {
  joined: number;
  snapshot: number;
  backup: number;
}

interface ModelPoint extends RetentionPoint {
  readonly committed: string;
}

const flagsOf = (...lists: string[]): Flag[] =>
  (['daily', 'weekly', 'monthly', 'yearly'] as const).filter((flag) =>
    lists.some((list) => list.split(',').includes(flag)),
  );

export class YearModel {
  readonly #covered = new Map<string, ModelMachine>();
  /** By machine: its points in the order in which they were made; those that are gone are taken out. */
  readonly points = new Map<string, ModelPoint[]>();
  /** Of each machine how many points it ever had. */
  readonly made = new Map<string, number>();

  /** The slot that a tick at `now` runs on a track, with the flags of those that it stands in for; null: none. */
  tick(track: Track, yearBegin: number, windowed: boolean, now: number): ModelSlot | null {
    const pending = track.year.slots.filter(({ at }) => at > track.since && at <= now);
    const newest = pending.at(-1);
    if (!newest) return null;
    const shut = windowed && track.year.open[Math.floor((now - yearBegin) / MINUTE)] === 0;
    if (now - newest.at > GRACE && shut) return null;
    for (const { at } of pending) track.fate.set(at, at === newest.at ? 'ran' : 'missed');
    track.since = newest.at;
    return {
      at: newest.at,
      backup: pending.some(({ backup }) => backup),
      flags: flagsOf(...pending.map(({ flags }) => flags)).join(','),
      backupFlags: flagsOf(...pending.map(({ backupFlags }) => backupFlags)).join(','),
    };
  }

  /** What a machine gets of a run: with the flags of earlier slots that it has nothing for. */
  make(track: Track, slot: ModelSlot, machine: string, succeeds: boolean): Made {
    const key = `${track.policyId} ${machine}`;
    const known = this.#covered.get(key) ?? { joined: slot.at - 1, snapshot: 0, backup: 0 };
    this.#covered.set(key, known);
    const owed = (since: number) =>
      track.year.slots.filter(({ at }) => at > (since || known.joined) && at >= track.from && at <= slot.at);
    const made: Made = {
      machine,
      backup: slot.backup,
      flags: flagsOf(slot.flags, ...owed(known.snapshot).map(({ flags }) => flags)),
      backupFlags: slot.backup
        ? flagsOf(slot.backupFlags, ...owed(known.backup).map(({ backupFlags }) => backupFlags))
        : [],
    };
    if (succeeds) {
      known.snapshot = slot.at;
      if (slot.backup) known.backup = slot.at;
    }
    return made;
  }

  add(
    machine: string,
    takenAt: string,
    flags: readonly Flag[],
    rules: RetentionRules,
    expiresAt: string | null = null,
  ): void {
    const sequence = (this.made.get(machine) ?? 0) + 1;
    this.made.set(machine, sequence);
    const retention = { flags: [...flags], rules, hold: null, expiresAt };
    const points = this.points.get(machine) ?? [];
    this.points.set(machine, [
      ...points,
      { sequence, takenAt, committed: takenAt, damaged: false, retention },
    ]);
  }

  hold(machine: string, takenAt: string, hold: Hold | null): void {
    const points = this.points.get(machine) ?? [];
    this.points.set(
      machine,
      points.map((point) =>
        point.takenAt === takenAt ? { ...point, retention: { ...point.retention, hold } } : point,
      ),
    );
  }

  /** Retention of one machine. */
  retain(machine: string, policy: Policy | null, now: number): void {
    const points = this.points.get(machine) ?? [];
    const verdicts = modelRetention(points, policy?.retention ?? null, now);
    const left = points.flatMap((point) => {
      const verdict = verdicts.find(({ sequence }) => sequence === point.sequence);
      if (!verdict?.keep) return [];
      const own = point.retention.rules;
      const rules = policy ? { ...policy.retention, keep: { ...own?.keep, ...policy.retention.keep } } : own;
      return [{ ...point, retention: { ...point.retention, flags: flagsOf(verdict.flags), rules } }];
    });
    this.points.set(machine, left);
  }
}

/** A set of snapshots that was made. */
export interface ModelSet {
  readonly takenAt: string;
  readonly flags: readonly Flag[];
  readonly base: boolean;
}

/** Which sets of a machine the rules of its policy keep: the base, the newest, and those of which a flag is on. Times. */
export function keptSets(sets: readonly ModelSet[], { snapshots }: Policy, now: number): string[] {
  const { keep, timeZone } = snapshots.retention;
  return sets
    .filter(({ takenAt, flags, base }, index) => {
      if (base || index === sets.length - 1) return true;
      return flags.some((flag) => {
        const rule = keep[flag];
        if (!rule) return false;
        if (rule.points === undefined) return modelExpiry(Date.parse(takenAt), rule, timeZone) > now;
        return sets.slice(index + 1).filter((newer) => newer.flags.includes(flag)).length < rule.points;
      });
    })
    .map(({ takenAt }) => takenAt);
}
