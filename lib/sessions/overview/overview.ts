import { countCoverage } from '../../chain/index.ts';
import type { Installation } from '../../installation/index.ts';
import {
  type Flag,
  type Session,
  type SessionKind,
  type SessionStatus,
  secondsOf,
  type WaitKind,
} from '../../model/index.ts';
import { nextCalendarSlots } from '../../schedule/index.ts';
import type { Survey } from '../machines/survey.ts';
import { calendarOf, isRegional, placed, regionName } from '../policyRun/calendars.ts';
import { type StoredData, storedData } from './storage.ts';
import { lookAtCoverage } from './watch.ts';

const DAY_MS = 86_400_000;
/** Ids go by the slot that asked for a session, which may be a little older than its begin. */
const GRACE_MS = 3_600_000;
/** Sessions of a day that are looked at; of more the newest are counted, and the answer says so. */
const MOST_SESSIONS = 20_000;
const LISTED = 20;
const UPCOMING = 10;

export type Bottleneck = WaitKind | 'throttling';

export interface Overview {
  readonly at: string;
  readonly coverage: Readonly<Record<'protected' | 'late' | 'waiting' | 'none', number>>;
  /** Machines that somebody should look at: late ones first, then those in no policy. Some of them. */
  readonly attention: readonly {
    readonly machineId: string;
    readonly machineName: string;
    readonly policyId: string | null;
    readonly state: 'late' | 'none';
    readonly why: string;
    readonly rpoSeconds: number | null;
  }[];
  /** Of the last 24 hours. */
  readonly sessions: {
    readonly running: number;
    readonly byKind: Readonly<Partial<Record<SessionKind, Partial<Record<SessionStatus, number>>>>>;
    readonly failed: readonly Pick<
      Session,
      'id' | 'kind' | 'machineName' | 'policyId' | 'error' | 'endedAt'
    >[];
    /** True when there were more than are counted. */
    readonly truncated: boolean;
  };
  /** Where the sessions of the last 24 hours waited, longest first. */
  readonly bottlenecks: readonly {
    readonly wait: Bottleneck;
    readonly seconds: number;
    readonly sessions: number;
    readonly longest: { readonly sessionId: string; readonly seconds: number };
  }[];
  /** Runs of policies in the last 24 hours; those whose last run grew most against the ones before it first. */
  readonly policies: readonly {
    readonly policyId: string;
    readonly runs: number;
    readonly lastSeconds: number;
    readonly usualSeconds: number | null;
  }[];
  readonly repositories: readonly StoredData[];
  readonly upcoming: readonly {
    readonly at: string;
    readonly policyId: string;
    readonly region: string | null;
    readonly makes: 'snapshot' | 'backup';
    readonly flags: readonly Flag[];
  }[];
  /** What could not be looked at. */
  readonly troubles: readonly string[];
}

/** How the installation is, in one answer. */
export async function readOverview(installation: Installation): Promise<Overview> {
  const now = installation.clock.now();
  const { survey, machines } = await lookAtCoverage(installation);
  const { sessions, truncated } = await lastDay(installation, now);
  const wrong = machines
    .filter(({ coverage }) => coverage.state === 'late' || coverage.state === 'none')
    .toSorted((a, b) => a.coverage.state.localeCompare(b.coverage.state));
  return {
    at: now.toISOString(),
    coverage: countCoverage(machines.map(({ coverage }) => coverage)),
    attention: wrong.slice(0, LISTED).map(({ surveyed: { machine, assignment }, coverage }) => ({
      machineId: machine.id,
      machineName: machine.name,
      policyId: assignment?.policyId ?? null,
      state: coverage.state === 'late' ? 'late' : 'none',
      why: coverage.why,
      rpoSeconds: coverage.rpoSeconds,
    })),
    sessions: {
      running: sessions.filter(({ status }) => status === 'running').length,
      byKind: countSessions(sessions),
      failed: sessions
        .filter(({ status }) => status === 'failed')
        .toSorted((a, b) => ((a.endedAt ?? '') < (b.endedAt ?? '') ? 1 : -1))
        .slice(0, LISTED)
        .map(({ id, kind, machineName, policyId, error, endedAt }) => ({
          id,
          kind,
          machineName,
          policyId,
          error,
          endedAt,
        })),
      truncated,
    },
    bottlenecks: bottlenecksOf(sessions, now),
    policies: runsOf(sessions),
    repositories: await storedData(installation),
    upcoming: upcomingSlots(survey, now),
    troubles: survey.troubles.map(({ message }) => message),
  };
}

async function lastDay(
  { catalog }: Installation,
  now: Date,
): Promise<{ sessions: Session[]; truncated: boolean }> {
  const since = now.getTime() - DAY_MS;
  const from = since - GRACE_MS;
  // Some run for days.
  const sessions = (await catalog.sessions.running()).filter(({ startedAt }) => Date.parse(startedAt) < from);
  for await (const session of catalog.sessions.between(new Date(from), null)) {
    const touched = Date.parse(session.endedAt ?? session.touchedAt);
    if (session.status === 'running' || touched >= since) sessions.push(session);
  }
  return { sessions: sessions.slice(-MOST_SESSIONS), truncated: sessions.length > MOST_SESSIONS };
}

function countSessions(sessions: readonly Session[]): Overview['sessions']['byKind'] {
  const counts: Partial<Record<SessionKind, Partial<Record<SessionStatus, number>>>> = {};
  for (const { kind, status } of sessions) {
    const of = counts[kind] ?? {};
    counts[kind] = { ...of, [status]: (of[status] ?? 0) + 1 };
  }
  return counts;
}

/** Seconds by what was waited for; those of sessions that still wait are counted up to `now`. */
export function bottlenecksOf(sessions: readonly Session[], now: Date): Overview['bottlenecks'] {
  const all = sessions.flatMap(({ id, waits, throttling }) => [
    ...waits.map((wait) => ({ id, wait: wait.kind as Bottleneck, seconds: secondsOf(wait, now) })),
    {
      id,
      wait: 'throttling' as const,
      seconds: throttling.reduce((sum, { seconds }) => sum + seconds, 0),
    },
  ]);
  const met = Map.groupBy(
    all.filter(({ seconds }) => seconds > 0),
    ({ wait }) => wait,
  );
  return [...met]
    .map(([wait, of]) => {
      const [longest] = of.toSorted((a, b) => b.seconds - a.seconds);
      return {
        wait,
        seconds: of.reduce((sum, { seconds }) => sum + seconds, 0),
        sessions: of.length,
        longest: { sessionId: longest?.id ?? '', seconds: longest?.seconds ?? 0 },
      };
    })
    .toSorted((a, b) => b.seconds - a.seconds);
}

function runsOf(sessions: readonly Session[]): Overview['policies'] {
  const runs = sessions.filter(({ kind, endedAt }) => kind === 'policyRun' && endedAt !== null);
  const growth = ({ lastSeconds, usualSeconds }: Overview['policies'][number]) =>
    usualSeconds ? lastSeconds / usualSeconds : 0;
  return [...Map.groupBy(runs, ({ policyId }) => policyId ?? '')]
    .map(([policyId, of]) => {
      const seconds = of
        .toSorted((a, b) => (a.startedAt < b.startedAt ? -1 : 1))
        .map(({ startedAt, endedAt }) => (Date.parse(endedAt ?? '') - Date.parse(startedAt)) / 1000);
      const before = seconds.slice(0, -1);
      const usualSeconds =
        before.length === 0 ? null : before.reduce((sum, one) => sum + one, 0) / before.length;
      return { policyId, runs: of.length, lastSeconds: seconds.at(-1) ?? 0, usualSeconds };
    })
    .toSorted((a, b) => growth(b) - growth(a))
    .slice(0, LISTED);
}

/** The next slots of all enabled policies; of a calendar in the time of regions, those of each region that has machines. */
function upcomingSlots({ policies, machines }: Survey, now: Date): Overview['upcoming'] {
  const slots: Overview['upcoming'][number][] = [];
  for (const policy of policies) {
    const calendar = calendarOf(policy);
    if (!policy.enabled || calendar === null) continue;
    const own = machines.filter(({ assignment }) => assignment?.policyId === policy.id);
    const regions = isRegional(calendar)
      ? [...new Set(own.map(({ machine }) => regionName(machine.location)))]
      : [null];
    for (const region of regions) {
      for (const { at, makes, flags, backupFlags } of nextSlots(calendar, region, now))
        slots.push({
          at: at.toISOString(),
          policyId: policy.id,
          region,
          makes,
          flags: makes === 'backup' ? backupFlags : flags,
        });
    }
  }
  return slots.toSorted((a, b) => (a.at < b.at ? -1 : 1)).slice(0, UPCOMING);
}

function nextSlots(calendar: Parameters<typeof placed>[0], region: string | null, now: Date) {
  try {
    return nextCalendarSlots(placed(calendar, region), now, UPCOMING);
  } catch {
    // A region whose zone is not known: the scheduler says so.
    return [];
  }
}
