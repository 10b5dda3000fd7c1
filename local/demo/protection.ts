import { type Clock, HoldfastError, type RestorePoint, restorePointName } from '../../lib/model/index.ts';
import type { LocalApi } from '../api.ts';
import type { DemoWorkload } from './machines.ts';
import { DEMO_POLICIES } from './policies.ts';
import { DEMO_MACHINES } from './subscription.ts';

/** What it asks of the service and of the guests. */
type Api = Pick<
  LocalApi,
  'policy' | 'putPolicy' | 'points' | 'startPolicy' | 'sessions' | 'wait' | 'holdPoint' | 'startBackup'
>;
type Guests = Pick<DemoWorkload, 'turn'>;

const RUN_MS = 600_000;
const TURN_MS = 20_000;
/** The machine of which a point is held, and the one of which a point with an expiry is made. */
const HELD = 'app-1';
const EXPIRING = 'web-1';
const EXPIRES_MS = 15 * 60_000;
const TRIES = 10;
const AGAIN_MS = 5000;

/** Lets the guests write every 20 s, until `signal`. */
export async function keepBusy(
  workload: Guests,
  clock: Clock,
  signal: AbortSignal,
  say: (line: string) => void,
): Promise<void> {
  for (let failures = 0; !signal.aborted; ) {
    try {
      await clock.sleep(TURN_MS, signal);
      await workload.turn(clock.now());
      failures = 0;
    } catch (error) {
      if (signal.aborted) return;
      if (failures++ === 0) say(`The demo's guests could not write: ${messageOf(error)}`);
    }
  }
}

/**
 * Has the demo policies, and runs them at once until each machine has a full and an incremental restore point, so that nobody
 * waits for their schedules. The first time it also does what people do by hand: it holds a point, and makes one that expires.
 * A policy that exists is left as it is.
 */
export async function protectDemo(
  api: Api,
  workload: Guests,
  clock: Clock,
  signal: AbortSignal,
  say: (line: string) => void,
): Promise<void> {
  try {
    const first = await addPolicies(api);
    for (let run = 1; run <= 2; run++) {
      if (machinesBehind(await api.points(), run).length === 0) continue;
      if (run > 1) await workload.turn(clock.now());
      await Promise.all(DEMO_POLICIES.map(({ id }) => runOnce(api, id, signal)));
    }
    const left = machinesBehind(await api.points(), 2);
    if (left.length > 0)
      say(`${left.join(', ')}: fewer than two restore points yet; "npx holdfast session list" says why.`);
    else if (first) await actByHand(api, clock, signal);
  } catch (error) {
    if (!signal.aborted) say(`The demo policies did not run: ${messageOf(error)}`);
  }
}

/** The demo machines with fewer than `count` restore points. */
export const machinesBehind = (
  points: readonly Pick<RestorePoint, 'machineName'>[],
  count: number,
): string[] =>
  DEMO_MACHINES.map(({ name }) => name).filter(
    (name) => points.filter(({ machineName }) => machineName === name).length < count,
  );

/** Whether none of the policies was there. */
async function addPolicies(api: Api): Promise<boolean> {
  let known = 0;
  for (const policy of DEMO_POLICIES) {
    if (await api.policy(policy.id)) known++;
    else await api.putPolicy(policy);
  }
  return known === 0;
}

async function runOnce(api: Api, policy: string, signal: AbortSignal): Promise<void> {
  let id: string | undefined;
  try {
    id = await api.startPolicy(policy);
  } catch (error) {
    if (!isConflict(error)) throw error;
    // Its schedule was quicker: then that run is the one to wait for.
    id = (await api.sessions({ kind: 'policyRun', status: 'running', policy }))[0]?.id;
  }
  if (id !== undefined) await api.wait(id, RUN_MS, undefined, signal);
}

async function actByHand(api: Api, clock: Clock, signal: AbortSignal): Promise<void> {
  const oldest = (await api.points(HELD)).at(-1);
  if (oldest)
    await api.holdPoint(restorePointName(oldest), {
      by: 'demo',
      reason: 'before the move to the new cash desk',
    });
  for (let tries = 1; ; tries++) {
    try {
      const expiresAt = new Date(clock.now().getTime() + EXPIRES_MS).toISOString();
      await api.startBackup({ machine: EXPIRING, expiresAt, reason: 'before the spring sale' });
      return;
    } catch (error) {
      // A scheduled backup of the machine is under way.
      if (!isConflict(error) || tries === TRIES) throw error;
    }
    await clock.sleep(AGAIN_MS, signal);
  }
}

const isConflict = (error: unknown): boolean => error instanceof HoldfastError && error.code === 'conflict';
const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
