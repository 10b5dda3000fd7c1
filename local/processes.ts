import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';

/**
 * Which processes belong to a run. Every child of a run has `HOLDFAST_RUN_TOKEN` in its environment, and hands it on to what
 * it starts; nobody else has it, so a process number that was given to a stranger meanwhile is never touched.
 */
export const RUN_TOKEN = 'HOLDFAST_RUN_TOKEN';

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !isZombie(pid);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** Ended, and not yet noticed by its parent. */
function isZombie(pid: number): boolean {
  if (process.platform !== 'linux') return false;
  try {
    return / Z [^)]*$/.test(readFileSync(`/proc/${pid}/stat`, 'latin1'));
  } catch {
    return true;
  }
}

export function belongsToRun(pid: number, token: string): boolean {
  return environmentOf(pid).split('\0').includes(`${RUN_TOKEN}=${token}`);
}

/** All live processes of a run. Where there is no /proc, those of `recorded` that are alive and belong to it. */
export function processesOfRun(token: string, recorded: readonly number[]): number[] {
  let candidates: readonly number[] = recorded;
  try {
    candidates = readdirSync('/proc').map(Number).filter(Number.isInteger);
  } catch {
    // Not Linux.
  }
  return candidates.filter((pid) => pid !== process.pid && isAlive(pid) && belongsToRun(pid, token));
}

/** `name=value` pairs, divided by NUL; empty for a process of somebody else, and for a dead one. */
function environmentOf(pid: number): string {
  if (process.platform === 'linux') {
    try {
      return readFileSync(`/proc/${pid}/environ`, 'latin1');
    } catch {
      return '';
    }
  }
  const listed = spawnSync('ps', ['eww', '-o', 'command=', '-p', String(pid)], { encoding: 'latin1' });
  return (listed.stdout ?? '').replaceAll(' ', '\0');
}
