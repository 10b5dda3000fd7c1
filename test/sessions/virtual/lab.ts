/**
 * A year in a minute: the real steps of sessions and the real orchestrators over memory, on a clock that is moved on when
 * everybody waits. Only two things are not real: the cloud (`cloud.ts`), and who does the jobs, which reads the cloud's disks
 * without HTTP.
 */
import { activities } from '../../../activities/index.ts';
import type { Outcome } from '../../../activities/names.ts';
import { openCatalog } from '../../../lib/catalog/index.ts';
import { MemoryTable } from '../../../lib/catalog/memoryTable.ts';
import { runJob } from '../../../lib/datapath/index.ts';
import type { Installation, InstalledRepository } from '../../../lib/installation/installation.ts';
import { readSettings } from '../../../lib/installation/settings.ts';
import { type Clock, DEFAULT_REPOSITORY, type Job } from '../../../lib/model/index.ts';
import {
  createRepository,
  encodeChainKeys,
  MemoryBlobStore,
  openChain,
} from '../../../lib/repository/index.ts';
import type { Instances } from '../../../lib/sessions/index.ts';
import { MemoryTelemetry } from '../../../lib/telemetry/index.ts';
import { JobQueue } from '../../../lib/workers/index.ts';
import { applyRetention } from '../../../orchestrators/applyRetention.ts';
import { backUpMachine } from '../../../orchestrators/backUpMachine.ts';
import { collectGarbage } from '../../../orchestrators/collectGarbage.ts';
import { rescanRepository } from '../../../orchestrators/rescanRepository.ts';
import { runPolicy } from '../../../orchestrators/runPolicy.ts';
import { tendSnapshots } from '../../../orchestrators/tendSnapshots.ts';
import { type Orchestrator, runOrchestrator } from '../runOrchestrator.ts';
import { GROUP, SUBSCRIPTION, VirtualCloud } from './cloud.ts';
import { listsOf, PIECE, sourceOf } from './disks.ts';

const ORCHESTRATORS: Readonly<Record<string, Orchestrator>> = {
  applyRetention,
  backUpMachine,
  collectGarbage,
  rescanRepository,
  runPolicy,
  tendSnapshots,
};

/** A clock that stands still until somebody moves it. */
export class VirtualClock implements Clock {
  #now: number;
  constructor(start: string) {
    this.#now = Date.parse(start);
  }
  now(): Date {
    return new Date(this.#now);
  }
  moveTo(at: Date): void {
    this.#now = Math.max(this.#now, at.getTime());
  }
  sleep(): Promise<void> {
    throw new Error('nobody sleeps here: orchestrations wait by timers');
  }
}

interface Sleeper {
  readonly until: number;
  readonly wake: () => void;
}

const ENVIRONMENT = {
  HOLDFAST_INSTALLATION_ID: 'year',
  HOLDFAST_SUBSCRIPTION_IDS: SUBSCRIPTION,
  HOLDFAST_LOCATION: 'westeurope',
  HOLDFAST_TENANT_ID: '00000000-0000-0000-0000-000000000000',
  HOLDFAST_TABLE_ENDPOINT: 'https://tables.invalid',
  HOLDFAST_BLOB_ENDPOINT: 'https://blobs.invalid',
  HOLDFAST_REPOSITORY_ENDPOINT: 'https://repository.invalid',
  HOLDFAST_KEY_VAULT_URL: 'https://vault.invalid',
  HOLDFAST_WORKER_RESOURCE_GROUP: GROUP,
  HOLDFAST_WORKER_AUDIENCE: 'api://year',
  HOLDFAST_APP_URL: 'https://app.invalid',
  HOLDFAST_SESSION_DAYS: '20',
  HOLDFAST_POLL_SECONDS: '30',
  HOLDFAST_PARALLEL_MACHINES: '50',
};

export class VirtualLab {
  readonly clock: VirtualClock;
  readonly cloud: VirtualCloud;
  readonly telemetry = new MemoryTelemetry();
  readonly installation: Installation;
  readonly tables = new Map<string, MemoryTable>();
  /** Called after each activity with its result. */
  afterActivity: (name: string, input: { sessionId: string }, outcome: Outcome<unknown>) => void = () =>
    undefined;
  readonly #staging = new MemoryBlobStore('staging');
  readonly #instances = new Map<string, 'running' | 'ended'>();
  readonly #sleepers: Sleeper[] = [];
  #active = 0;
  #idle: (() => void) | null = null;
  #trouble: unknown = null;

  readonly instances: Instances = {
    state: async (id) => this.#instances.get(id) ?? 'missing',
    start: async (orchestrator, id, input) => {
      if (!this.#instances.has(id)) this.#start(orchestrator, id, input);
    },
  };

  private constructor(start: string, repository: InstalledRepository, clock: VirtualClock) {
    this.clock = clock;
    this.cloud = new VirtualCloud(clock);
    const table = (name: string): MemoryTable => {
      const made = this.tables.get(name) ?? new MemoryTable(name);
      this.tables.set(name, made);
      return made;
    };
    const catalog = openCatalog(table, clock);
    const settings = { ...readSettings(ENVIRONMENT), HOLDFAST_BLOCK_BYTES: PIECE };
    const parts: Partial<Installation> = {
      settings,
      clock,
      telemetry: this.telemetry,
      azure: this.cloud.ports(),
      catalog,
      states: table('holdfastSessionStates'),
      queue: new JobQueue(catalog.jobs, clock),
      staging: this.#staging,
      repository: async () => repository,
      repositoryById: async () => repository,
      repositoryPlaces: async () => [repository.place],
      identity: async () => ({ id: settings.HOLDFAST_INSTALLATION_ID, key: Buffer.alloc(32, start.length) }),
    };
    this.installation = parts as Installation;
  }

  static async start(start: string): Promise<VirtualLab> {
    const clock = new VirtualClock(start);
    const opened = await createRepository({
      meta: new MemoryBlobStore('meta', () => clock.now()),
      data: new MemoryBlobStore('data', () => clock.now()),
      unlock: { mode: 'none' },
      now: clock.now(),
    });
    const place = { id: DEFAULT_REPOSITORY } as InstalledRepository['place'];
    const repository = {
      ...opened,
      place,
      locks: null,
      workerSas: () => Promise.reject(new Error('no workers')),
    };
    return new VirtualLab(start, repository, clock);
  }

  #start(orchestrator: string, id: string, input: unknown): void {
    const run = ORCHESTRATORS[orchestrator];
    if (!run) throw new Error(`There is no orchestrator ${orchestrator}.`);
    this.#instances.set(id, 'running');
    this.#active++;
    const world = {
      activity: (name: string, activityInput: unknown) => this.#activity(name, activityInput),
      now: () => this.clock.now(),
      wait: (until: Date) => this.#sleep(until),
    };
    // Later, as a host does: the starter goes on first.
    void Promise.resolve()
      .then(() => runOrchestrator(run, input, world))
      .catch((error: unknown) => {
        this.#trouble ??= error;
      })
      .finally(() => {
        this.#instances.set(id, 'ended');
        this.#rest();
      });
  }

  #rest(): void {
    this.#active--;
    if (this.#active === 0) this.#idle?.();
  }

  #sleep(until: Date): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        this.#active++;
        resolve();
      };
      this.#sleepers.push({ until: until.getTime(), wake });
      this.#rest();
    });
  }

  /** Resolves when every orchestration has ended, or waits for a time to come. */
  async #settle(): Promise<void> {
    if (this.#active > 0)
      await new Promise<void>((resolve) => {
        this.#idle = resolve;
      });
    this.#idle = null;
    if (this.#trouble !== null) throw this.#trouble;
  }

  /** Moves the clock on to a moment, waking on the way whoever waits for an earlier one. */
  async passTo(at: Date): Promise<void> {
    await this.#settle();
    for (;;) {
      const next = Math.min(...this.#sleepers.map(({ until }) => until));
      if (next > at.getTime()) break;
      this.clock.moveTo(new Date(next));
      const due = this.#sleepers.filter(({ until }) => until <= next);
      for (const sleeper of due) this.#sleepers.splice(this.#sleepers.indexOf(sleeper), 1);
      for (const { wake } of due) wake();
      await this.#settle();
    }
    this.clock.moveTo(at);
  }

  /** Lets everything that runs come to its end, however long that takes. */
  async finish(): Promise<void> {
    await this.#settle();
    while (this.#sleepers.length > 0)
      await this.passTo(new Date(Math.min(...this.#sleepers.map(({ until }) => until))));
  }

  async #activity(name: string, input: unknown): Promise<Outcome<unknown>> {
    const outcome = name === 'uploadShard' ? await this.#doJob(input) : await this.#perform(name, input);
    this.afterActivity(name, input as { sessionId: string }, outcome);
    return outcome;
  }

  async #perform(name: string, input: unknown): Promise<Outcome<unknown>> {
    const found = activities.find((activity) => activity.name === name);
    if (!found) throw new Error(`There is no activity ${name}.`);
    return found.perform({ installation: this.installation, instances: this.instances }, input);
  }

  /** Does one job as the app does, but reads the cloud's disks without HTTP. */
  async #doJob(input: unknown): Promise<Outcome<unknown>> {
    const { sessionId } = input as { sessionId: string };
    const { queue, catalog } = this.installation;
    const session = await catalog.sessions.get(sessionId);
    const pool = this.#poolOf(session?.machineId ?? '');
    const job = await queue.claim('virtual', { pool, sessionId });
    if (!job) return { ok: true, value: { done: true, value: null } };
    const attempt = { pool, sessionId, jobId: job.id, attempt: job.attempt, owner: 'virtual' };
    await queue.complete(attempt, await this.#run(job));
    const { ended } = await queue.status(pool, sessionId);
    return { ok: true, value: ended ? { done: true, value: null } : { done: false, what: 'more jobs' } };
  }

  #poolOf(machineId: string): string {
    const found = [...this.cloud.machines.values()].find(({ machine }) => machine.id === machineId);
    return (found?.machine.location ?? '').toLowerCase();
  }

  async #run({ spec, attempt }: Job): ReturnType<typeof runJob> {
    if (spec.kind === 'restore') throw new Error('nothing is restored here');
    const repository = await this.installation.repository();
    const chain = await openChain(repository, spec.chain.id);
    const content = this.cloud.shown.get(spec.snapshotId.toLowerCase());
    if (!content) throw new Error(`There never was a snapshot ${spec.snapshotId}.`);
    const baseId = spec.kind === 'plan' ? spec.baseSnapshotId : null;
    const base = baseId === null ? null : (this.cloud.shown.get(baseId.toLowerCase()) ?? null);
    if (baseId !== null && !this.cloud.snapshots.has(baseId.toLowerCase()))
      throw new Error(`The base ${baseId} is gone.`);
    return runJob(spec, {
      chainKey: encodeChainKeys(chain.keys),
      data: repository.data,
      staging: this.#staging,
      source: sourceOf(content),
      lists: listsOf(content, base),
      attempt,
      saveCheckpoint: async () => undefined,
      progress: () => undefined,
      signal: new AbortController().signal,
    });
  }
}
