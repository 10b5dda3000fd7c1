/**
 * Asynchronous operations: started by a request, polled at their own URL, ended by time and polls, and remembered over restarts.
 *
 * A request does its work when it starts the operation (resources show `Creating`, `Updating`, `Deleting`); the *finisher*, named in the record
 * and registered by the resource, runs once when the operation ends, with its outcome. So a restart in between loses nothing.
 */
import { randomUUID } from 'node:crypto';
import { azureTime, DISK_SERVICE_ZONE, type SimulatorClock } from './clock.ts';
import type { FaultEffect } from './faults.ts';
import type { SimulatorSettings } from './settings.ts';
import type { Collection, StateStore } from './state.ts';

/** Which service runs it: the URL of the operation and the zone of its times differ. */
export type OperationService = 'disk' | 'compute' | 'network' | 'resources';

export interface OperationOutcome {
  status: 'Succeeded' | 'Failed' | 'Canceled';
  error?: { code: string; message: string };
}

export interface OperationRecord {
  id: string;
  service: OperationService;
  subscription: string;
  location: string;
  apiVersion: string;
  /** Object id of who started it: may read it whatever its roles. */
  owner: string;
  /** ARM id of the resource. */
  target: string;
  finisher: string;
  /** `p=` of the URLs. */
  partition: string;
  startedAt: number;
  dueAt: number;
  polls: number;
  pollsNeeded: number;
  endedAt?: number;
  outcome: OperationOutcome;
  done: boolean;
}

/** Runs when the operation ends. It must accept that the target is gone. */
export type Finisher = (record: OperationRecord) => void;
/** What a successful operation shows as `properties.output` and at its monitor URL. */
export type Output = (record: OperationRecord) => unknown;

/** Whether the work that the operation waits for is done. */
export type Ready = (record: OperationRecord) => boolean;

export interface OperationOrder {
  service: OperationService;
  subscription: string;
  location: string;
  apiVersion: string;
  owner: string;
  target: string;
  finisher: string;
  /** An injected fault that says how it ends or how long it takes. */
  fault?: FaultEffect | undefined;
  /** An ending that the request itself decided. */
  outcome?: OperationOutcome | undefined;
}

const KEPT_WHEN_DONE = 2_000;

export class Operations {
  private readonly records: Collection<OperationRecord>;
  private readonly running = new Set<OperationRecord>();
  private readonly finishers = new Map<
    string,
    { finish: Finisher; output?: Output | undefined; ready?: Ready | undefined }
  >();
  private readonly clock: SimulatorClock;
  private readonly settings: SimulatorSettings['operations'];

  constructor(state: StateStore, clock: SimulatorClock, settings: SimulatorSettings['operations']) {
    this.records = state.collection('operations');
    this.clock = clock;
    this.settings = settings;
    const done = this.records.filter((record) => record.done);
    for (const record of done.slice(0, Math.max(0, done.length - KEPT_WHEN_DONE)))
      this.records.delete(record.id);
    for (const record of this.records.filter((known) => !known.done)) this.running.add(record);
  }

  /** Every name given to `start` must be registered first. */
  register(name: string, finish: Finisher, output?: Output, ready?: Ready): void {
    this.finishers.set(name, { finish, output, ready });
  }

  start(order: OperationOrder): OperationRecord {
    if (!this.finishers.has(order.finisher)) throw new Error(`No finisher is named ${order.finisher}.`);
    const { fault } = order;
    const startedAt = this.clock.now().getTime();
    const slow = fault?.kind === 'slow' ? fault : undefined;
    const outcome: OperationOutcome =
      fault?.kind === 'operation'
        ? { status: fault.status, error: { code: fault.code, message: fault.message } }
        : (order.outcome ?? { status: 'Succeeded' });
    const record: OperationRecord = {
      id: randomUUID(),
      service: order.service,
      subscription: order.subscription,
      location: order.location.toLowerCase(),
      apiVersion: order.apiVersion,
      owner: order.owner,
      target: order.target,
      finisher: order.finisher,
      partition: randomUUID(),
      startedAt,
      dueAt: startedAt + (slow?.delayMs ?? this.settings.delayMs),
      polls: 0,
      pollsNeeded: slow?.polls ?? this.settings.polls,
      outcome,
      done: false,
    };
    this.records.set(record.id, record);
    this.running.add(record);
    return record;
  }

  /** Ends what is due. Called before each request and by a timer. */
  settle(): void {
    const now = this.clock.now().getTime();
    for (const record of this.running) {
      if (now < record.dueAt) continue;
      if (
        record.polls < record.pollsNeeded &&
        now < record.startedAt + this.settings.patienceMs + (record.dueAt - record.startedAt)
      )
        continue;
      if (this.finishers.get(record.finisher)?.ready?.(record) === false) continue;
      this.running.delete(record);
      record.done = true;
      record.endedAt = now;
      this.finishers.get(record.finisher)?.finish(record);
      this.records.set(record.id, record);
    }
  }

  /** Operations that have not ended on this resource. */
  runningOn(target: string): OperationRecord[] {
    return [...this.running].filter((record) => record.target.toLowerCase() === target.toLowerCase());
  }

  get(id: string): OperationRecord | undefined {
    return this.records.get(id);
  }

  /** Counts a poll; to be called before `settle`, so that the poll that reaches the number sees the end. */
  poll(record: OperationRecord): void {
    if (record.done) return;
    if (record.polls >= record.pollsNeeded) return;
    record.polls += 1;
    this.records.set(record.id, record);
  }

  output(record: OperationRecord): unknown {
    return record.outcome.status === 'Succeeded'
      ? this.finishers.get(record.finisher)?.output?.(record)
      : undefined;
  }

  /** Absolute URLs of one operation. `monitor` is the Location that answers 202 until the end. */
  urls(record: OperationRecord, base: string): { status: string; monitor: string } {
    const version = `api-version=${record.apiVersion}`;
    const at = (provider: string, kind: string) =>
      `${base}/subscriptions/${record.subscription}/providers/${provider}/locations/${record.location}/${kind}/${record.id}`;
    switch (record.service) {
      case 'disk': {
        const url = `${at('Microsoft.Compute', 'DiskOperations')}?p=${record.partition}`;
        return { status: `${url}&${version}`, monitor: `${url}&monitor=true&${version}` };
      }
      case 'compute': {
        const url = `${at('Microsoft.Compute', 'operations')}?p=${record.partition}`;
        return { status: `${url}&${version}`, monitor: `${url}&monitor=true&${version}` };
      }
      case 'network':
        return {
          status: `${at('Microsoft.Network', 'operations')}?${version}`,
          monitor: `${at('Microsoft.Network', 'operationResults')}?${version}`,
        };
      case 'resources': {
        const url = `${base}/subscriptions/${record.subscription}/operationresults/${record.id}?${version}`;
        return { status: url, monitor: url };
      }
    }
  }

  /** The body of a poll. */
  status(record: OperationRecord): object {
    const outcome = record.done ? record.outcome : undefined;
    if (record.service === 'network') {
      return { status: outcome?.status ?? 'InProgress', ...(outcome?.error ? { error: outcome.error } : {}) };
    }
    const zone = record.service === 'disk' ? DISK_SERVICE_ZONE : 0;
    const output = outcome ? this.output(record) : undefined;
    return {
      startTime: azureTime(new Date(record.startedAt), zone),
      ...(record.endedAt === undefined ? {} : { endTime: azureTime(new Date(record.endedAt), zone) }),
      status: outcome?.status ?? 'InProgress',
      ...(output === undefined ? {} : { properties: { output } }),
      ...(outcome?.error ? { error: outcome.error } : {}),
      name: record.id,
    };
  }

  /** The `Retry-After` header while it runs: the configured seconds, or what is left of its time when that is longer. */
  retryAfter(record: OperationRecord): Record<string, string> {
    const left = Math.ceil((record.dueAt - this.clock.now().getTime()) / 1000);
    const seconds = Math.max(this.settings.retryAfterSeconds, Math.min(left, 15));
    return seconds > 0 ? { 'Retry-After': String(seconds) } : {};
  }
}
