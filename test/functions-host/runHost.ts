import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { Engine } from '../../local/functions-host/engine.ts';
import { type Endpoints, type HostOptions, LocalFunctionsHost } from '../../local/functions-host/host.ts';
import type { LogEntry } from '../../local/functions-host/log.ts';
import { ManualClock } from '../../local/functions-host/manualClock.ts';
import { terminalStatuses } from '../../local/functions-host/runtimeStatus.ts';
import type { InstanceRow } from '../../local/functions-host/store.ts';

export interface RunningHost extends Endpoints {
  host: LocalFunctionsHost;
  engine: Engine;
  clock: ManualClock;
  log: LogEntry[];
  root: string;
  /** Starts an orchestration and answers its id. */
  start: (name: string, input: unknown, instanceId?: string) => string;
  /** The instance when it has ended. */
  ended: (instanceId: string) => Promise<InstanceRow>;
  /** Runs an orchestration to its end, without moving the clock, and answers what it returned. */
  result: (name: string, input: unknown) => Promise<unknown>;
}

/** A folder that is gone when the test has ended. */
export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-host-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** A host for the app of small samples, on a clock that stands still; stopped when the test has ended. */
export async function runHost(
  options: Partial<HostOptions> & { clock?: ManualClock; appName?: string } = {},
): Promise<RunningHost> {
  const root = options.appRoot ?? (await temporaryFolder());
  const clock = options.clock ?? new ManualClock();
  const log: LogEntry[] = [];
  const host = new LocalFunctionsHost({
    entry: join(import.meta.dirname, 'apps', options.appName ?? 'basics.ts'),
    stateDir: join(root, 'state'),
    functionKeys: ['function-key'],
    systemKey: 'system-key',
    masterKey: 'master-key',
    log: (entry) => log.push(entry),
    ...options,
    appRoot: root,
    clock,
  });
  const endpoints = await host.start();
  onTestFinished(() => host.stop(1000));
  const { engine } = host;
  const start = (name: string, input: unknown, instanceId?: string): string =>
    engine.startNew(name, JSON.stringify(input), { instanceId });
  const ended = async (instanceId: string): Promise<InstanceRow> => {
    const row = await engine.watch(instanceId, (one) => !one || terminalStatuses.includes(one.status));
    if (!row) throw new Error(`The instance ${instanceId} is gone.`);
    return row;
  };
  const result = async (name: string, input: unknown): Promise<unknown> =>
    outputOf(await ended(start(name, input)));
  return { ...endpoints, host, engine, clock, log, root, start, ended, result };
}

/** What a completed instance returned; throws when it has not completed. */
export function outputOf(row: InstanceRow): unknown {
  if (row.status !== 'Completed') throw new Error(`${row.instanceId} is ${row.status}: ${row.output ?? ''}`);
  return JSON.parse(row.output ?? 'null');
}

type Basics = typeof import('./apps/basics.ts');

/** The module of the sample app, to see what its functions did. Only after a host has loaded it. */
export async function basics(): Promise<Basics> {
  return import('./apps/basics.ts');
}
