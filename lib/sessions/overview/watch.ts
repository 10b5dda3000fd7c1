import { type Coverage, type CoverageState, countCoverage } from '../../chain/index.ts';
import type { Installation } from '../../installation/index.ts';
import { countsSnapshots, judgeCoverage, restorePointTimes, snapshotTimes } from '../machines/coverage.ts';
import { type Survey, type SurveyedMachine, surveyMachines } from '../machines/survey.ts';

/** The tenant is looked at so often, whoever asks; a new machine is seen within this. */
const SURVEY_MS = 5 * 60_000;
/** Snapshots are in no row that would tell of a new one. */
const SNAPSHOTS_MS = 5 * 60_000;
/** What is remembered of points is read anew so often, whatever the chains say; and every machine is told of so often. */
const HOUR_MS = 3_600_000;
const SIDE_BY_SIDE = 16;

export interface CoveredMachine {
  readonly surveyed: SurveyedMachine;
  readonly coverage: Coverage;
}

export interface CoverageLook {
  readonly survey: Survey;
  readonly machines: readonly CoveredMachine[];
}

interface Known {
  /** Heads of the machine's chains: another one means another point. */
  readonly key: string;
  readonly readAt: number;
  readonly takenAt: readonly string[];
}

interface Told {
  readonly state: CoverageState;
  readonly policyId: string | null;
  readonly at: number;
}

/** What this process remembers of an installation. Lost with the process: then everything is read, and told, once more. */
interface Memory {
  survey: { readonly at: number; readonly value: Promise<Survey> } | null;
  readonly points: Map<string, Known>;
  readonly told: Map<string, Told>;
}
const memories = new WeakMap<Installation['catalog'], Memory>();

function memoryOf({ catalog }: Installation): Memory {
  const memory = memories.get(catalog) ?? { survey: null, points: new Map(), told: new Map() };
  memories.set(catalog, memory);
  return memory;
}

/** A survey that is at most five minutes old. */
async function recentSurvey(installation: Installation, memory: Memory, now: number): Promise<Survey> {
  if (!memory.survey || now - memory.survey.at >= SURVEY_MS) {
    memory.survey = { at: now, value: surveyMachines(installation) };
  }
  const { value } = memory.survey;
  try {
    return await value;
  } catch (error) {
    if (memory.survey?.value === value) memory.survey = null;
    throw error;
  }
}

/**
 * Whether each machine is protected as its policy promises. Costs one query for the chains of all machines, and one for each
 * machine that has a new restore point since the last look; the tenant is listed every five minutes.
 */
export async function lookAtCoverage(installation: Installation): Promise<CoverageLook> {
  const now = installation.clock.now();
  const memory = memoryOf(installation);
  const survey = await recentSurvey(installation, memory, now.getTime());
  const heads = new Map<string, string[]>();
  for (const { machineId, chainId, head } of await installation.catalog.chains.list())
    heads.set(machineId, [...(heads.get(machineId) ?? []), `${chainId}/${head?.sequence ?? 0}`]);
  const machines: CoveredMachine[] = [];
  for (let at = 0; at < survey.machines.length; at += SIDE_BY_SIDE) {
    const some = survey.machines.slice(at, at + SIDE_BY_SIDE).map(async (surveyed) => {
      const key = (heads.get(surveyed.machine.id) ?? []).toSorted().join(' ');
      const takenAt = await timesOf(installation, memory, survey, surveyed, key, now.getTime());
      return { surveyed, coverage: judgeCoverage(survey, surveyed, takenAt, now) };
    });
    machines.push(...(await Promise.all(some)));
  }
  const there = new Set(survey.machines.map(({ machine }) => machine.id));
  for (const map of [memory.points, memory.told])
    for (const id of map.keys()) if (id !== ALL && !there.has(id)) map.delete(id);
  return { survey, machines };
}

async function timesOf(
  installation: Installation,
  memory: Memory,
  survey: Survey,
  surveyed: SurveyedMachine,
  heads: string,
  now: number,
): Promise<readonly string[]> {
  const { id } = surveyed.machine;
  const snapshots = countsSnapshots(survey, surveyed);
  const key = `${snapshots ? 'snapshots' : 'points'} ${heads}`;
  const known = memory.points.get(id);
  const good = snapshots ? SNAPSHOTS_MS : HOUR_MS;
  if (known && known.key === key && now - known.readAt < good) return known.takenAt;
  const points = heads === '' ? [] : await restorePointTimes(installation, id);
  const taken = snapshots ? [...points, ...(await snapshotTimes(installation, id))] : points;
  const takenAt = taken.toSorted().slice(-1);
  memory.points.set(id, { key, readAt: now, takenAt });
  return takenAt;
}

/**
 * Tells how machines are covered: each whose state has changed, and every hour all of them, with the age of their newest point.
 * Called at every tick of the scheduler.
 */
export async function tellCoverage(installation: Installation): Promise<void> {
  const { telemetry, clock } = installation;
  const { machines } = await lookAtCoverage(installation);
  const { told } = memoryOf(installation);
  const now = clock.now().getTime();
  let changed = false;
  for (const { surveyed, coverage } of machines) {
    const { id: machineId } = surveyed.machine;
    const policyId = surveyed.assignment?.policyId ?? null;
    const before = told.get(machineId);
    const same = before?.state === coverage.state && before.policyId === policyId;
    if (same && now - before.at < HOUR_MS) continue;
    changed ||= !same;
    const { state, why, missed, rpoSeconds } = coverage;
    telemetry.event('holdfast.machine.coverage', {
      machineId,
      policyId,
      state,
      before: same ? null : (before?.state ?? null),
      why,
      missedSlot: missed?.toISOString() ?? null,
      rpoSeconds,
    });
    if (rpoSeconds !== null) telemetry.metric('holdfast.rpo.age', rpoSeconds, { state });
    told.set(machineId, { state, policyId, at: now });
  }
  const total = told.get(ALL);
  if (!changed && total && now - total.at < HOUR_MS) return;
  telemetry.event('holdfast.coverage.counted', countCoverage(machines.map(({ coverage }) => coverage)));
  told.set(ALL, { state: 'none', policyId: null, at: now });
}

/** No machine's id: when the counts were told last. */
const ALL = 'all';
