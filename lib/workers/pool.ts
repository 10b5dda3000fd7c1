/** Worker pools and the choices about them: pure. */
import type { WorkerRow } from '../catalog/index.ts';
import { type Failure, HoldfastError } from '../model/index.ts';

/** A size and place to try. `location` overrides the pool's: a step that reads across regions costs traffic. */
interface LadderStep {
  readonly size: string;
  readonly zone: string | null;
  readonly location?: string;
}

/** The workers of a region and profile. */
export interface WorkerPool {
  /** Lower-case letters, digits and hyphens; part of VM names. */
  readonly name: string;
  readonly location: string;
  /** Most VMs at a time. */
  readonly max: number;
  /** VMs that are kept deallocated when there is no work. Their cores count in the quota, their disks cost. */
  readonly min: number;
  /** Tried in order, for creating as for what could not be started. At least one. */
  readonly ladder: readonly LadderStep[];
}

/** A worker that has not called in this long since its VM was asked for, or since its last call, is replaced. */
export const READY_MS = 5 * 60_000;
/** So many replacements in one launch, then the launch has failed. */
export const MAX_REPLACED = 3;

const NAME = /^[a-z][a-z0-9-]{0,39}$/;

/** `<prefix>-<pool>-<slot>-<generation>`: a replacement never meets its predecessor. */
export const workerName = (
  prefix: string,
  { pool, slot, generation }: Pick<WorkerRow, 'pool' | 'slot' | 'generation'>,
): string => `${prefix}-${pool}-${slot}-${generation}`;

export function assertPool(prefix: string, pool: WorkerPool): void {
  const fault = !NAME.test(pool.name)
    ? 'its name has other characters than a-z, 0-9 and -, or more than 40'
    : workerName(prefix, { pool: pool.name, slot: pool.max, generation: 99_999 }).length > 64
      ? 'the names of its VMs would be longer than 64 characters'
      : pool.ladder.length === 0
        ? 'it names no VM size'
        : pool.max < 1 || pool.min < 0 || pool.min > pool.max
          ? 'it needs 0 <= min <= max and at least one worker'
          : null;
  if (fault !== null) {
    throw new HoldfastError('invalidInput', `Worker pool "${pool.name}" cannot be used: ${fault}.`, {
      target: pool.name,
    });
  }
}

/** Slots to try for a session, best first: a kept VM, a slot without one, a slot that has no row yet. */
export function candidates(pool: WorkerPool, rows: readonly WorkerRow[]): number[] {
  const usable = rows.filter(
    ({ slot, state, holder }) => slot < pool.max && state === 'free' && holder === null,
  );
  const kept = usable.filter(({ vmState }) => vmState !== 'none').map(({ slot }) => slot);
  const bare = usable.filter(({ vmState }) => vmState === 'none').map(({ slot }) => slot);
  const taken = new Set(rows.map(({ slot }) => slot));
  const fresh = Array.from({ length: pool.max }, (_, slot) => slot).filter((slot) => !taken.has(slot));
  return [...kept, ...bare, ...fresh];
}

/** Whether the VM of `row` is kept when it is released: a proven one, while fewer than `min` others are kept. */
export function worthKeeping(pool: WorkerPool, row: WorkerRow, rows: readonly WorkerRow[]): boolean {
  if (row.state !== 'ready' || row.slot >= pool.max) return false;
  const others = rows.filter(
    ({ slot, state, vmState, keep }) =>
      slot !== row.slot &&
      ((state === 'free' && vmState === 'deallocated') || (state === 'releasing' && keep)),
  );
  return others.length < pool.min;
}

/** Kept VMs beyond `min`, which may go: those of the highest slots. */
export function surplus(pool: WorkerPool, rows: readonly WorkerRow[]): WorkerRow[] {
  const kept = rows.filter(({ state, vmState }) => state === 'free' && vmState === 'deallocated');
  const [stay, over] = [
    kept.filter(({ slot }) => slot < pool.max),
    kept.filter(({ slot }) => slot >= pool.max),
  ];
  return [...over, ...stay.slice(pool.min)];
}

/** Azure has no room, or the subscription may not have more: another size or place may do. */
export const isCapacity = ({ code }: Pick<Failure, 'code'>): boolean =>
  code === 'capacityUnavailable' || code === 'quotaExceeded';

/** The slot as a session takes it: a kept VM as it is, or the next generation of none. */
export function taken(row: WorkerRow, sessionId: string, now: Date): WorkerRow {
  const launch = { rung: 0, replaced: 0, reasons: [], keep: false, pending: null };
  const generation = row.vmState === 'none' ? row.generation + 1 : row.generation;
  return {
    ...row,
    ...launch,
    generation,
    state: 'starting',
    holder: sessionId,
    since: now.toISOString(),
    seenAt: null,
  };
}

/** The slot after its VM was given up: the next generation, on the next step of the ladder when there was no room. */
export function replacement(row: WorkerRow, why: string, capacity: boolean, now: Date): WorkerRow {
  return {
    ...noMachine(row),
    generation: row.generation + 1,
    state: 'starting',
    rung: capacity ? row.rung + 1 : row.rung,
    replaced: capacity ? row.replaced : row.replaced + 1,
    reasons: [...row.reasons, why].slice(-20),
    since: now.toISOString(),
    seenAt: null,
    pending: null,
  };
}

/** The slot after its release. */
export function freed(row: WorkerRow, machineKept: boolean, now: Date): WorkerRow {
  const base = machineKept ? { ...row, vmState: 'deallocated' as const } : noMachine(row);
  return {
    ...base,
    state: 'free',
    holder: null,
    keep: false,
    pending: null,
    reasons: [],
    since: now.toISOString(),
  };
}

const noMachine = (row: WorkerRow): WorkerRow => ({
  ...row,
  vmId: null,
  vmState: 'none',
  principalId: null,
  size: null,
});

export const emptySlot = (pool: WorkerPool, slot: number, now: Date): WorkerRow => ({
  pool: pool.name,
  slot,
  generation: 0,
  state: 'free',
  holder: null,
  vmId: null,
  vmState: 'none',
  principalId: null,
  location: pool.location,
  size: null,
  since: now.toISOString(),
  seenAt: null,
  rung: 0,
  replaced: 0,
  reasons: [],
  keep: false,
  pending: null,
});
