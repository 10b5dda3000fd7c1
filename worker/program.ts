import { closeDiskConnections } from '../lib/azure/diskAccess.ts';
import { LaneThreads } from '../lib/datapath/index.ts';
import { type Clock, systemClock, toFailure } from '../lib/model/index.ts';
import { AppClient, identityToken } from './appClient.ts';
import { Heartbeat } from './heartbeat.ts';
import { log } from './log.ts';
import { runWorker, type WorkerParts } from './runWorker.ts';
import type { WorkerSettings } from './settings.ts';

export interface ProgramParts {
  /** The module that all threads run. */
  readonly entry: URL;
  readonly settings: WorkerSettings;
  readonly runJob: WorkerParts['runJob'];
  readonly clock?: Clock;
}

/**
 * Runs the worker and ends the process: 0 when it was drained or told to end (SIGTERM, SIGINT), 1 when something broke that a new
 * process may not suffer from (the unit starts one).
 */
export async function runProgram({
  entry,
  settings,
  runJob,
  clock = systemClock,
}: ProgramParts): Promise<void> {
  const stop = new AbortController();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.once(signal, () => {
      log('info', 'worker.stopping', { signal });
      stop.abort(new Error(`The worker was told to end (${signal}).`));
    });
  }
  const heartbeat = new Heartbeat(entry, settings, (error) => {
    log('error', 'heartbeat.broken', { message: error.message });
    process.exit(1);
  });
  const threads = new LaneThreads(entry);
  const app = new AppClient(settings.appUrl, identityToken(settings.audience));
  log('info', 'worker.started', { node: process.version, pid: process.pid });
  try {
    await runWorker({
      app,
      heartbeat,
      clock,
      runJob,
      threads,
      stop: stop.signal,
      interruptMs: settings.interruptMs,
    });
    await closeDiskConnections();
  } catch (error) {
    log('error', 'worker.failed', { message: toFailure(error).message });
    process.exit(1);
  }
  process.exit(0);
}
