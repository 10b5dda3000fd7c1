import { z } from 'zod';
import { type Clock, HoldfastError } from '../lib/model/index.ts';
import { belongsToRun, isAlive, processesOfRun } from './processes.ts';
import type { StateFolder } from './stateFolder.ts';

/** What a run writes down of its children as it starts them: `children.json`. */
export const childrenSchema = z.object({
  token: z.string().min(16),
  children: z.array(z.object({ name: z.string(), pid: z.number().int().positive(), gentle: z.boolean() })),
});
export type ChildrenRecord = z.infer<typeof childrenSchema>;

const GENTLE_MS = 30_000;
const HARD_MS = 5_000;
const POLL_MS = 50;

/**
 * Ends what a run that was killed has left behind, and forgets its record. Everything is killed at once but the gentle ones
 * (Azurite, which would lose writes that it has acknowledged): these get SIGTERM when the others are gone, and are waited
 * for. Answers with the names of what it ended. Only called by who holds the run lock.
 */
export async function endOrphans(state: StateFolder, clock: Clock): Promise<string[]> {
  const record = childrenSchema.safeParse(state.read('children.json'));
  if (!record.success) return [];
  const { token, children } = record.data;
  const nameOf = (pid: number) => children.find((child) => child.pid === pid)?.name ?? `process ${pid}`;
  const left = processesOfRun(
    token,
    children.map(({ pid }) => pid),
  );
  const gentle = left.filter((pid) => children.some((child) => child.pid === pid && child.gentle));
  const others = left.filter((pid) => !gentle.includes(pid));
  for (const pid of others) signal(pid, 'SIGKILL', token);
  await gone(others, HARD_MS, clock);
  for (const pid of gentle) signal(pid, 'SIGTERM', token);
  const staying = await gone(gentle, GENTLE_MS, clock);
  if (staying.length > 0) {
    throw new HoldfastError(
      'timeout',
      `${staying.map(nameOf).join(', ')} of an earlier run did not end within ${GENTLE_MS / 1000} s (process ${staying.join(', ')}). End it yourself, gently ("kill"), and start again.`,
    );
  }
  state.remove('children.json');
  return left.map(nameOf);
}

/** Looks once more before it signals: the number may be another's by now. */
function signal(pid: number, name: 'SIGTERM' | 'SIGKILL', token: string): void {
  if (!belongsToRun(pid, token)) return;
  try {
    process.kill(pid, name);
  } catch {
    // Gone by itself.
  }
}

/** Waits until none is alive; answers with those that stayed. */
async function gone(pids: readonly number[], ms: number, clock: Clock): Promise<number[]> {
  for (let waited = 0; ; waited += POLL_MS) {
    const alive = pids.filter(isAlive);
    if (alive.length === 0 || waited >= ms) return alive;
    await clock.sleep(POLL_MS);
  }
}
