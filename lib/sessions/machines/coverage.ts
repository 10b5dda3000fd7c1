import { type Coverage, coverageOf } from '../../chain/index.ts';
import type { Installation } from '../../installation/index.ts';
import { type Calendar, isHoldfastError, type Policy } from '../../model/index.ts';
import { calendarOf, placed } from '../policyRun/calendars.ts';
import type { Survey, SurveyedMachine } from './survey.ts';

export interface MachineCoverage {
  readonly coverage: Coverage;
  /** When the newest usable restore point was taken; null: there is none. */
  readonly lastRestorePointAt: string | null;
  /** Usable restore points. */
  readonly restorePoints: number;
}

/** Sessions of a machine that are looked through for snapshots, where its policy makes nothing else. */
const SESSIONS = 50;

/** Is a machine of a survey protected as its policy promises? Reads the machine's points from the catalog. */
export async function coverMachine(
  installation: Installation,
  survey: Pick<Survey, 'policies'>,
  surveyed: SurveyedMachine,
): Promise<MachineCoverage> {
  const taken = await restorePointTimes(installation, surveyed.machine.id);
  const snapshots = countsSnapshots(survey, surveyed)
    ? await snapshotTimes(installation, surveyed.machine.id)
    : [];
  const coverage = judgeCoverage(survey, surveyed, [...taken, ...snapshots], installation.clock.now());
  return { coverage, lastRestorePointAt: taken.at(-1) ?? null, restorePoints: taken.length };
}

/** As `coverMachine`, for a caller who knows when the machine's points were taken. Only the newest counts. */
export function judgeCoverage(
  { policies }: Pick<Survey, 'policies'>,
  { machine, assignment, ownedSince, firstSeenAt }: SurveyedMachine,
  takenAt: readonly string[],
  now: Date,
): Coverage {
  const policy = policies.find(({ id }) => id === assignment?.policyId) ?? null;
  const calendar = policy ? calendarIn(policy, machine.location) : null;
  const facts = {
    policy: policy && { id: policy.id, enabled: policy.enabled, calendar },
    joinedAt: ownedSince ?? firstSeenAt,
    takenAt: takenAt.map((at) => new Date(at)),
  };
  return coverageOf(facts, now);
}

/** Whether a machine's policy makes snapshots and nothing else, so that these are what protects it. */
export function countsSnapshots(
  { policies }: Pick<Survey, 'policies'>,
  { machine, assignment }: SurveyedMachine,
): boolean {
  const policy = policies.find(({ id }) => id === assignment?.policyId);
  const calendar = policy ? calendarIn(policy, machine.location) : null;
  return calendar !== null && !calendar.schedules.some(({ makes }) => makes === 'backup');
}

/** When the restore points of a machine were taken that can be restored, ascending. */
export async function restorePointTimes({ catalog }: Installation, machineId: string): Promise<string[]> {
  const rows = await catalog.points.listMachine(machineId);
  return rows.flatMap(({ damaged, missing, point }) => (damaged || missing ? [] : [point.takenAt])).sort();
}

/** The calendar of a policy as a machine of the region lives by it; a region whose zone is not known lives by UTC. */
export function calendarIn(policy: Policy, region: string): Calendar | null {
  const own = calendarOf(policy);
  if (own === null) return null;
  try {
    return placed(own, region);
  } catch (error) {
    if (isHoldfastError(error, 'invalidInput')) return { ...own, timeZone: 'UTC' };
    throw error;
  }
}

/** When the last snapshots of a machine were taken that its policy made. */
export async function snapshotTimes({ catalog }: Installation, machineId: string): Promise<string[]> {
  const { sessions } = await catalog.sessions.list({ machineId, kind: 'snapshot', limit: SESSIONS });
  return sessions.flatMap(({ status, startedAt }) =>
    status === 'succeeded' || status === 'warning' ? [startedAt] : [],
  );
}
