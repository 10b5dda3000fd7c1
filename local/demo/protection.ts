import { type Clock, HoldfastError, type RestorePoint } from '../../lib/model/index.ts';
import type { LocalApi } from '../api.ts';
import type { DemoWorkload } from './machines.ts';
import { DEMO, DEMO_MACHINES } from './subscription.ts';

const POLICY = 'demo';
const RUN_MS = 600_000;
const TURN_MS = 20_000;

/** Lets the guests write every 20 s, until `signal`. */
export async function keepBusy(
  workload: DemoWorkload,
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
 * Has the demo policy, and runs it at once until each machine has a full and an incremental restore point, so that nobody
 * waits for its schedule. A policy that exists is left as it is.
 */
export async function protectDemo(
  api: LocalApi,
  workload: DemoWorkload,
  clock: Clock,
  signal: AbortSignal,
  say: (line: string) => void,
): Promise<void> {
  try {
    if (!(await api.policy(POLICY))) {
      await api.putPolicy({
        id: POLICY,
        scope: { resourceGroups: [DEMO.resourceGroup] },
        calendar: { schedules: [{ every: 'cron', cron: '*/3 * * * *' }] },
        retention: { keep: { daily: { points: 14 } } },
        mover: 'worker',
      });
    }
    for (let run = 1; run <= 2; run++) {
      const behind = machinesBehind(await api.points(), run);
      if (behind.length === 0) continue;
      if (run > 1) await workload.turn(clock.now());
      await runOnce(api, signal);
    }
    const left = machinesBehind(await api.points(), 2);
    if (left.length > 0)
      say(`${left.join(', ')}: fewer than two restore points yet; "npx holdfast session list" says why.`);
  } catch (error) {
    if (!signal.aborted) say(`The demo policy did not run: ${messageOf(error)}`);
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

async function runOnce(api: LocalApi, signal: AbortSignal): Promise<void> {
  let id: string | undefined;
  try {
    id = await api.startPolicy(POLICY);
  } catch (error) {
    // Its schedule was quicker: then that run is the one to wait for.
    if (!(error instanceof HoldfastError) || error.code !== 'conflict') throw error;
    id = (await api.sessions({ kind: 'policyRun', status: 'running' }))[0]?.id;
  }
  if (id !== undefined) await api.wait(id, RUN_MS, undefined, signal);
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
