import type { ErrorCode, Policy, Session } from '../../model/index.ts';

/** Failures that the next try would meet again, unless somebody changes something: they are told at once. */
const HOPELESS: ReadonlySet<ErrorCode> = new Set([
  'invalidInput',
  'unsupported',
  'diskUnsupported',
  'tagLimit',
  'notConfigured',
  'wrongPassword',
  'repositoryMismatch',
  'notOwner',
]);

export interface Retry {
  readonly machineId: string;
  /** 1 for the first try after the failed one. Names the session: asked for twice it is started once. */
  readonly attempt: number;
}

export interface RetryPlan {
  /** Due now, those that failed first in front. */
  readonly due: readonly Retry[];
  /** Machines whose next try is not due yet, and when the first of them is. */
  readonly waiting: number;
  readonly next: Date | null;
  /** The last session of each machine for which no try is left. */
  readonly failed: readonly Session[];
}

/**
 * Which machines of a run are tried again. Only of a scheduled run, only those whose last session failed: one that was
 * skipped or cancelled is left, and one whose failure the next try would meet again. Nothing is tried while the run is asked
 * to stop.
 *
 * @param children every session that the run has started, tries included, in any order
 */
export function planRetries(
  run: Pick<Session, 'cancelRequested'>,
  children: readonly Session[],
  { retry, scheduled }: { readonly retry: Policy['retry']; readonly scheduled: boolean },
  now: Date,
): RetryPlan {
  const due: (Retry & { at: number })[] = [];
  const waits: number[] = [];
  const failed: Session[] = [];
  for (const sessions of byMachine(children).values()) {
    const last = sessions.at(-1);
    if (last?.status !== 'failed' || last.machineId === null) continue;
    const attempt = sessions.length;
    const hopeless = last.error !== null && HOPELESS.has(last.error.code);
    if (!scheduled || run.cancelRequested || hopeless || attempt > retry.attempts) {
      failed.push(last);
      continue;
    }
    const at = Date.parse(last.endedAt ?? last.touchedAt) + retry.waitMinutes * 60_000;
    if (at <= now.getTime()) due.push({ machineId: last.machineId, attempt, at });
    else waits.push(at);
  }
  due.sort((a, b) => a.at - b.at);
  return {
    due: due.map(({ machineId, attempt }) => ({ machineId, attempt })),
    waiting: waits.length,
    next: waits.length === 0 ? null : new Date(Math.min(...waits)),
    failed,
  };
}

function byMachine(children: readonly Session[]): Map<string, Session[]> {
  const found = new Map<string, Session[]>();
  const ordered = children.toSorted(
    (a, b) => a.startedAt.localeCompare(b.startedAt) || a.id.localeCompare(b.id),
  );
  for (const child of ordered) {
    if (child.machineId === null) continue;
    found.set(child.machineId, [...(found.get(child.machineId) ?? []), child]);
  }
  return found;
}
