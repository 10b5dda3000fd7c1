import type { Installation } from '../installation/index.ts';
import { fromFailure, type WaitKind } from '../model/index.ts';
import { keepHold } from './hold.ts';
import { enterStep, noteWaits } from './live.ts';
import { type Looked, notYet, seen } from './look.ts';
import { poolOf } from './state.ts';

/** Why a session has no worker yet. */
const WORKER_WAITS: readonly WaitKind[] = ['worker', 'launch', 'capacity'];

/** Asks for a worker, so that its VM boots while other things are done. While all are taken it has none: `watchWorker` waits. */
export async function launchWorker(installation: Installation, sessionId: string): Promise<void> {
  await enterStep(installation, sessionId);
  if ((await acquire(installation, sessionId)) === null) await superviseWorker(installation, sessionId);
}

/**
 * Looks whether the session's worker has reported; takes one when it is free, and sees to its VM. A session waits for a
 * worker as long as it takes, in phase `worker`.
 *
 * @throws `workerNotReady` when the whole ladder was tried
 */
export async function watchWorker(installation: Installation, sessionId: string): Promise<Looked<null>> {
  await enterStep(installation, sessionId, 'worker');
  await keepHold(installation, sessionId);
  const taken = await acquire(installation, sessionId);
  if (taken !== null) {
    await noteWaits(installation, sessionId, ['worker'], WORKER_WAITS);
    return notYet(taken);
  }
  return (await superviseWorker(installation, sessionId)) === 'ready'
    ? seen(null)
    : notYet('the worker to report');
}

/** Null when the session has a worker; else why it has to wait. */
async function acquire(installation: Installation, sessionId: string): Promise<string | null> {
  const pool = installation.workerPool(await poolOf(installation, sessionId));
  const answer = await installation.fleet.acquire(sessionId, pool);
  return answer.wait ? answer.reason : null;
}

/** One look at the worker: makes, starts or replaces its VM as needed. Called at every look while there are jobs. */
export async function superviseWorker(
  installation: Installation,
  sessionId: string,
): Promise<'ready' | 'starting'> {
  const pool = installation.workerPool(await poolOf(installation, sessionId));
  const launch = await installation.fleet.watch(sessionId, pool);
  if (launch.state === 'failed') throw fromFailure(launch.failure);
  // Past the first step of the ladder there was no room on it.
  const waits: WaitKind[] = launch.state === 'ready' ? [] : [launch.worker.rung > 0 ? 'capacity' : 'launch'];
  await noteWaits(installation, sessionId, waits, WORKER_WAITS);
  return launch.state;
}

/** Gives the session's worker back. True when its VM is deallocated or gone; false: it is on the way, look again. */
export async function releaseWorker(installation: Installation, sessionId: string): Promise<boolean> {
  const intents = await installation.catalog.intents.list(sessionId, 'worker');
  const pools = new Set(intents.map(({ key }) => key.slice(0, key.lastIndexOf('/'))));
  let done = true;
  for (const name of pools) {
    done = (await installation.fleet.release(sessionId, installation.workerPool(name))).done && done;
  }
  return done;
}

/** Deletes VMs that no row names, and kept ones beyond what the pool keeps. */
export async function sweepWorkers(installation: Installation): Promise<void> {
  const { fleet, telemetry, catalog } = installation;
  const removed = await fleet.removeStrangers();
  const pools = new Set((await catalog.workers.list()).map(({ value }) => value.pool));
  for (const name of pools) removed.push(...(await fleet.trim(installation.workerPool(name))));
  for (const target of removed)
    telemetry.event('holdfast.sweep.released', { what: 'worker', target, reason: 'unowned' });
}
