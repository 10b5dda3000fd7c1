import type { Intents, Versioned, WorkerRow, Workers } from '../catalog/index.ts';
import {
  type Clock,
  type Failure,
  fromFailure,
  type HoldfastError,
  isHoldfastError,
  toFailure,
} from '../model/index.ts';
import {
  assertPool,
  candidates,
  emptySlot,
  freed,
  isCapacity,
  MAX_REPLACED,
  READY_MS,
  replacement,
  surplus,
  taken,
  type WorkerPool,
  workerName,
  worthKeeping,
} from './pool.ts';
import type { WorkerMachine, WorkerMachines } from './workerMachines.ts';

export interface FleetSettings {
  /** First part of every VM name of this installation, e.g. `holdfast-3f9a`. */
  readonly prefix: string;
  /** cloud-config of every worker (`cloudInit`). */
  readonly customData: string;
  /** On everything that is made, so that `WorkerMachines.listOwned` finds it. */
  readonly tags: Readonly<Record<string, string>>;
  /** Told of every VM that was asked for or given up. */
  readonly tell?: (event: FleetEvent) => void;
}

/** What became of a worker's VM. */
export type FleetEvent =
  | {
      readonly kind: 'launched';
      readonly name: string;
      readonly region: string;
      readonly size: string;
      readonly how: 'created' | 'started';
    }
  | {
      readonly kind: 'released';
      readonly name: string;
      readonly region: string;
      readonly how: 'deallocated' | 'deleted';
      /** `ended`: its session gave it back. `notReady`: it did not report, or was broken. `capacity`: there was no room for it. */
      readonly reason: 'ended' | 'notReady' | 'capacity';
    };

export type AcquireAnswer =
  | { readonly wait: false; readonly worker: WorkerRow }
  | { readonly wait: true; readonly reason: string };

/** `starting` with the reasons of what failed so far; `failed`: nothing of the ladder is to be had, release it. */
export type LaunchState =
  | { readonly state: 'ready' | 'starting'; readonly worker: WorkerRow }
  | { readonly state: 'failed'; readonly worker: WorkerRow; readonly failure: Failure };

/** How old `seenAt` may be before a call is written down again. */
const SEEN_MS = 30_000;
/** A VM that is not at rest this long after it was asked to be is asked again, or deleted. */
const RELEASE_MS = 10 * 60_000;

/**
 * The worker VMs: slots of pools, taken by sessions. Nothing here waits for Azure: each method takes one step, in seconds, and may be
 * called again by anyone; the row says where it stands. A row names its VM before the VM is made, so that a VM no row names is a
 * stranger and may go.
 */
export class Fleet {
  readonly #workers: Workers;
  readonly #intents: Intents;
  readonly #machines: WorkerMachines;
  readonly #clock: Clock;
  readonly #settings: FleetSettings;

  constructor(
    rows: { readonly workers: Workers; readonly intents: Intents },
    machines: WorkerMachines,
    clock: Clock,
    settings: FleetSettings,
  ) {
    this.#workers = rows.workers;
    this.#intents = rows.intents;
    this.#machines = machines;
    this.#clock = clock;
    this.#settings = settings;
  }

  /** The name by which jobs and logs know a worker: that of its VM. */
  nameOf(worker: WorkerRow): string {
    return workerName(this.#settings.prefix, worker);
  }

  /** Takes a slot of the pool for a session, or finds the one it has. Then `watch` until it is ready. */
  async acquire(sessionId: string, pool: WorkerPool): Promise<AcquireAnswer> {
    assertPool(this.#settings.prefix, pool);
    const rows = await this.#workers.list(pool.name);
    const held = rows.find(({ value }) => value.holder === sessionId);
    if (held) return { wait: false, worker: held.value };
    for (const slot of candidates(
      pool,
      rows.map(({ value }) => value),
    )) {
      // Before the row: a session that dies in between leaves an intent without a row, which is nothing.
      await this.#intents.write(sessionId, 'worker', intentKey(pool.name, slot));
      const worker = await this.#take(sessionId, pool, slot, rows);
      if (worker) return { wait: false, worker };
      await this.#intents.resolve(sessionId, 'worker', intentKey(pool.name, slot));
    }
    // A session may end before its VM is at rest, and nobody watches from then on: whoever waits for the slot does.
    for (const row of rows) if (row.value.state === 'releasing') await this.#finish(row);
    const holders = rows.flatMap(({ value }) => (value.holder ? [value.holder] : []));
    const reason = `All ${pool.max} workers of pool ${pool.name} are taken, by sessions ${holders.join(', ')}.`;
    return { wait: true, reason };
  }

  /**
   * Looks after the session's worker: creates or starts its VM, tries the next step of the ladder when there is no room, replaces a VM
   * that does not report in 5 minutes, also in the middle of work. Call it every few seconds while the session works.
   */
  async watch(sessionId: string, pool: WorkerPool): Promise<LaunchState> {
    const held = await this.#held(sessionId, pool.name);
    const { value: worker } = held;
    if (worker.state === 'releasing') return failedLaunch(worker, 'The worker is being released.');
    const now = this.#clock.now();
    const silentSince = worker.seenAt ?? worker.since;
    const overdue = now.getTime() - Date.parse(silentSince) >= READY_MS;
    if (worker.state === 'ready' && !overdue) return { state: 'ready', worker };

    const machine = await this.#machines.get(this.nameOf(worker));
    if (worker.vmState !== 'running') return this.#launch(held, pool, machine);
    const failure = await this.#failure(worker, machine);
    if (failure) return this.#replace(held, failure.message, isCapacity(failure));
    if (overdue) {
      const what = worker.state === 'ready' ? 'has been silent for' : 'did not report in';
      return this.#replace(held, `${this.nameOf(worker)} ${what} ${READY_MS / 60_000} minutes`, false);
    }
    return { state: 'starting', worker: await this.#note(held, machine) };
  }

  /** A worker called. Its first call makes it ready; returns the row as it then is. */
  async seen(worker: WorkerRow): Promise<WorkerRow> {
    const now = this.#clock.now();
    return this.#workers.update(worker.pool, worker.slot, (row) => {
      if (row.principalId !== worker.principalId) return row;
      const first = row.state === 'starting' && row.vmState === 'running';
      const fresh = row.seenAt !== null && now.getTime() - Date.parse(row.seenAt) < SEEN_MS;
      if (!first && (fresh || row.state !== 'ready')) return row;
      return { ...row, state: 'ready', seenAt: now.toISOString() };
    });
  }

  /**
   * Gives the session's worker back: its VM is deallocated while fewer than `min` are kept, else deleted. `done` when that has
   * happened: call `watchRelease` until then. A session without a worker is done at once.
   */
  async release(sessionId: string, pool: WorkerPool): Promise<{ done: boolean }> {
    const rows = await this.#workers.list(pool.name);
    const held = rows.find(({ value }) => value.holder === sessionId);
    if (!held) return { done: await this.#resolve(sessionId, pool.name) };
    if (held.value.state !== 'releasing') {
      const keep = worthKeeping(
        pool,
        held.value,
        rows.map(({ value }) => value),
      );
      const since = this.#clock.now().toISOString();
      // Only the holder's calls write this row, and the worker's: the newest of both is what is being released.
      await this.#workers.update(pool.name, held.value.slot, (row) =>
        row.holder === sessionId && row.state !== 'releasing'
          ? { ...row, state: 'releasing', keep, since, pending: null }
          : row,
      );
    }
    return this.watchRelease(sessionId, pool);
  }

  /** See `release`. */
  async watchRelease(sessionId: string, pool: WorkerPool): Promise<{ done: boolean }> {
    const rows = await this.#workers.list(pool.name);
    const held = rows.find(({ value }) => value.holder === sessionId);
    if (held?.value.state === 'releasing' && !(await this.#finish(held))) return { done: false };
    if (held && held.value.state !== 'releasing') return { done: false };
    return { done: await this.#resolve(sessionId, pool.name) };
  }

  /** For the sweep: sessions that hold workers, and where. */
  async holders(): Promise<{ sessionId: string; pool: string; slot: number }[]> {
    const rows = await this.#workers.list();
    return rows.flatMap(({ value: { holder, pool, slot } }) =>
      holder ? [{ sessionId: holder, pool, slot }] : [],
    );
  }

  /**
   * For the sweep: deletes VMs that carry our tags and that no row names, and what they left; returns their names. The VMs are listed before the rows,
   * because a row names its VM before the VM is made.
   */
  async removeStrangers(): Promise<string[]> {
    const machines = await this.#machines.listOwned();
    const known = new Set((await this.#workers.list()).map(({ value }) => this.nameOf(value)));
    const strangers = machines.filter(
      ({ name, provisioningState }) => !known.has(name) && provisioningState !== 'deleting',
    );
    for (const { name } of strangers) await this.#machines.remove(name);
    return [...strangers.map(({ name }) => name), ...(await this.#machines.removeLeftovers())];
  }

  /** For the sweep: deletes kept VMs beyond `min`, and ends releases that nobody watches. Returns the names of what it deleted. */
  async trim(pool: WorkerPool): Promise<string[]> {
    const rows = await this.#workers.list(pool.name);
    const over = new Set(
      surplus(
        pool,
        rows.map(({ value }) => value),
      ).map(({ slot }) => slot),
    );
    const removed: string[] = [];
    for (const row of rows) {
      const { slot, state, holder } = row.value;
      const leftover = state === 'releasing' && holder === null;
      if (!over.has(slot) && !leftover) continue;
      const since = this.#clock.now().toISOString();
      const marked = leftover
        ? row
        : await this.#tryReplace(row, {
            ...row.value,
            state: 'releasing',
            keep: false,
            since,
            pending: null,
          });
      if (!marked) continue;
      await this.#finish(marked);
      removed.push(this.nameOf(marked.value));
    }
    return removed;
  }

  /** Null if somebody else took the slot in between. */
  async #take(
    sessionId: string,
    pool: WorkerPool,
    slot: number,
    rows: readonly Versioned<WorkerRow>[],
  ): Promise<WorkerRow | null> {
    const now = this.#clock.now();
    const row = rows.find(({ value }) => value.slot === slot);
    const next = taken(row?.value ?? emptySlot(pool, slot, now), sessionId, now);
    if (row) return (await this.#tryReplace(row, next))?.value ?? null;
    try {
      return (await this.#workers.insert(next)).value;
    } catch (error) {
      if (isHoldfastError(error, 'alreadyExists')) return null;
      throw error;
    }
  }

  /** Asks for the VM that the row names, in the size of its step; or starts the kept one. */
  async #launch(
    held: Versioned<WorkerRow>,
    pool: WorkerPool,
    machine: WorkerMachine | null,
  ): Promise<LaunchState> {
    const { value: worker } = held;
    const name = this.nameOf(worker);
    const step = pool.ladder[worker.rung];
    if (!step) return failedLaunch(worker, worker.reasons.join('; '));
    const { vmState } = worker;
    const unusable = machine?.provisioningState === 'failed' || machine?.provisioningState === 'deleting';
    if (unusable || (vmState === 'deallocated' && !machine)) {
      return this.#replace(held, `${name}, which was kept, is ${machine ? 'broken' : 'gone'}`, false);
    }
    const location = step.location ?? pool.location;
    let pending: unknown;
    try {
      pending =
        vmState === 'deallocated'
          ? await this.#machines.start(name)
          : await this.#machines.create({
              name,
              location,
              size: step.size,
              zone: step.zone,
              customData: this.#settings.customData,
              tags: {
                ...this.#settings.tags,
                'holdfast-pool': pool.name,
                'holdfast-slot': String(worker.slot),
              },
            });
    } catch (error) {
      const failure = toFailure(error);
      if (!isCapacity(failure)) throw error;
      // A kept VM that cannot be started is replaced, from the first step on; a step that has no room is followed by the next.
      return this.#replace(held, failure.message, vmState === 'none');
    }
    const launched: WorkerRow = {
      ...worker,
      vmState: 'running',
      since: this.#clock.now().toISOString(),
      pending: pending ?? null,
      ...(vmState === 'none' ? { size: step.size, location } : {}),
    };
    const written = await this.#tryReplace(held, launched);
    if (!written) return { state: 'starting', worker };
    const how = vmState === 'deallocated' ? 'started' : 'created';
    this.#settings.tell?.({
      kind: 'launched',
      name,
      region: launched.location,
      size: launched.size ?? step.size,
      how,
    });
    return { state: 'starting', worker: await this.#note(written, await this.#machines.get(name)) };
  }

  /** Why the VM will not come: what its creation or start ended in. */
  async #failure(worker: WorkerRow, machine: WorkerMachine | null): Promise<Failure | null> {
    const state = worker.pending === null ? null : await this.#machines.poll(worker.pending);
    if (state?.status === 'failed') return state.failure;
    if (machine?.provisioningState !== 'failed') return null;
    return {
      code: 'internal',
      message: `Azure could not provision ${this.nameOf(worker)}`,
      retryable: false,
    };
  }

  /** Writes down what ARM tells of the VM: without its principal id the worker's calls are refused. */
  async #note(held: Versioned<WorkerRow>, machine: WorkerMachine | null): Promise<WorkerRow> {
    const { value: worker } = held;
    if (!machine || (worker.principalId === machine.principalId && worker.vmId === machine.vmId))
      return worker;
    const next = { ...worker, vmId: machine.vmId, principalId: machine.principalId ?? worker.principalId };
    return (await this.#tryReplace(held, next))?.value ?? worker;
  }

  /** Gives the VM up and goes on with the next generation; `failed` when that was tried often enough. */
  async #replace(held: Versioned<WorkerRow>, why: string, capacity: boolean): Promise<LaunchState> {
    const { value: worker } = held;
    if (!capacity && worker.replaced >= MAX_REPLACED) {
      return failedLaunch(worker, [...worker.reasons, why].join('; '));
    }
    const name = this.nameOf(worker);
    await this.#machines.remove(name);
    if (worker.vmState !== 'none') {
      const reason = capacity ? 'capacity' : 'notReady';
      this.#settings.tell?.({ kind: 'released', name, region: worker.location, how: 'deleted', reason });
    }
    const next = await this.#tryReplace(held, replacement(worker, why, capacity, this.#clock.now()));
    return { state: 'starting', worker: next?.value ?? worker };
  }

  /** Takes the next step of a release; true when the slot is free. */
  async #finish(row: Versioned<WorkerRow>): Promise<boolean> {
    const { value: worker } = row;
    const name = this.nameOf(worker);
    const now = this.#clock.now();
    const late = now.getTime() - Date.parse(worker.since) >= RELEASE_MS;
    const running =
      worker.pending !== null && !late && (await this.#machines.poll(worker.pending)).status === 'running';
    if (running) return false;
    const machine = await this.#machines.get(name);
    const stays =
      worker.keep && machine?.powerState === 'deallocated' && machine.provisioningState === 'succeeded';
    if (!machine || stays) return (await this.#tryReplace(row, freed(worker, stays, now))) !== null;
    // Asked once to deallocate; what does not come to rest then is deleted.
    const deallocate = worker.keep && worker.pending === null;
    const pending = deallocate ? await this.#machines.deallocate(name) : await this.#machines.remove(name);
    const since = now.toISOString();
    const how = deallocate ? 'deallocated' : 'deleted';
    this.#settings.tell?.({ kind: 'released', name, region: worker.location, how, reason: 'ended' });
    await this.#tryReplace(row, { ...worker, keep: deallocate, pending, since });
    return false;
  }

  async #resolve(sessionId: string, pool: string): Promise<true> {
    for (const { key } of await this.#intents.list(sessionId, 'worker')) {
      if (key.startsWith(`${pool}/`)) await this.#intents.resolve(sessionId, 'worker', key);
    }
    return true;
  }

  async #held(sessionId: string, pool: string): Promise<Versioned<WorkerRow>> {
    const held = (await this.#workers.list(pool)).find(({ value }) => value.holder === sessionId);
    if (held) return held;
    throw fromFailure({
      code: 'notFound',
      message: `Session ${sessionId} holds no worker of pool ${pool}; acquire one first.`,
      target: sessionId,
      retryable: false,
    }) satisfies HoldfastError;
  }

  async #tryReplace(row: Versioned<WorkerRow>, next: WorkerRow): Promise<Versioned<WorkerRow> | null> {
    try {
      return await this.#workers.replace(next, row.etag);
    } catch (error) {
      if (isHoldfastError(error, 'preconditionFailed')) return null;
      throw error;
    }
  }
}

const intentKey = (pool: string, slot: number): string => `${pool}/${slot}`;

const failedLaunch = (worker: WorkerRow, why: string): LaunchState => ({
  state: 'failed',
  worker,
  failure: {
    code: worker.replaced === 0 ? 'capacityUnavailable' : 'workerNotReady',
    message: `No worker could be made ready in pool ${worker.pool}: ${why}`,
    target: worker.pool,
    retryable: true,
  },
});
