import { z } from 'zod';

export const sessionPhaseSchema = z.enum([
  'starting',
  'snapshot',
  'worker',
  'plan',
  'move',
  'commit',
  'create',
  'restore',
  'retention',
  'machines',
  'check',
  'collect',
  'rescan',
  'remove',
  'release',
  'done',
]);
export type SessionPhase = z.infer<typeof sessionPhaseSchema>;

/**
 * What a session waits for, beside its own work. `worker`: all workers of the pool are taken. `launch`: its worker's VM does
 * not report yet. `capacity`: Azure has no room, or no quota, for the VM. `access`: five snapshots of a disk are being read,
 * which is Azure's limit. `repository`: the repository takes no more sessions at a time. `machines`: a policy run has more
 * machines than are backed up side by side.
 */
export const waitKindSchema = z.enum(['worker', 'launch', 'capacity', 'access', 'repository', 'machines']);
export const WAIT_KINDS = waitKindSchema.options;
export type WaitKind = z.infer<typeof waitKindSchema>;

const stay = {
  /** In it, all stays that have ended together. */
  seconds: z.number().nonnegative(),
  /** Begin of the stay that goes on; null when there is none. */
  since: z.iso.datetime().nullable(),
};

/** One phase of a session, over all its stays. The number of phases bounds the list. */
export const phaseTimeSchema = z.object({
  phase: sessionPhaseSchema,
  startedAt: z.iso.datetime(),
  /** Last left; null while the session is in it. */
  endedAt: z.iso.datetime().nullable(),
  ...stay,
});
export type PhaseTime = z.infer<typeof phaseTimeSchema>;

/** One reason to wait, over all its stays. */
export const waitTimeSchema = z.object({
  kind: waitKindSchema,
  /** How often it began. */
  times: z.number().int().positive(),
  ...stay,
});
export type WaitTime = z.infer<typeof waitTimeSchema>;

/** What services refused one source of requests (a process of the app, an attempt of a job) for asking too much. */
export const throttlingSchema = z.object({
  source: z.string(),
  /** Answers 429 and 503. */
  calls: z.number().int().nonnegative(),
  /** Waited because of them. */
  seconds: z.number().nonnegative(),
});
export type Throttling = z.infer<typeof throttlingSchema>;

/** Sources that a session remembers; more would let its row grow without end. */
const MAX_SOURCES = 32;

const secondsFrom = (since: string, now: Date): number =>
  Math.max(0, now.getTime() - Date.parse(since)) / 1000;
const left = <T extends { seconds: number; since: string | null }>(stay: T, now: Date): T =>
  stay.since === null ? stay : { ...stay, seconds: stay.seconds + secondsFrom(stay.since, now), since: null };

/** The phases after `phase` was entered, or, with null, after the session ended. In it already: the same list. */
export function enterPhase(phases: readonly PhaseTime[], phase: SessionPhase | null, now: Date): PhaseTime[] {
  const at = now.toISOString();
  const inIt = phases.filter(({ since }) => since !== null);
  if (phase === null ? inIt.length === 0 : inIt.length === 1 && inIt[0]?.phase === phase) return [...phases];
  const closed = phases.map((entry) =>
    entry.since === null || entry.phase === phase ? entry : { ...left(entry, now), endedAt: at },
  );
  if (phase === null) return closed;
  if (!closed.some((entry) => entry.phase === phase))
    return [...closed, { phase, startedAt: at, endedAt: null, seconds: 0, since: at }];
  return closed.map((entry) =>
    entry.phase === phase ? { ...entry, endedAt: null, since: entry.since ?? at } : entry,
  );
}

/**
 * The waits after those of `among` are exactly `kinds`: the others of `among` end, the rest is left as it is. The same list
 * when nothing changes.
 */
export function setWaits(
  waits: readonly WaitTime[],
  kinds: readonly WaitKind[],
  among: readonly WaitKind[],
  now: Date,
): readonly WaitTime[] {
  const at = now.toISOString();
  const open = new Set(waits.flatMap(({ kind, since }) => (since === null ? [] : [kind])));
  const begins = kinds.filter((kind) => !open.has(kind));
  const ends = among.filter((kind) => open.has(kind) && !kinds.includes(kind));
  if (begins.length + ends.length === 0) return waits;
  const changed = waits.map((wait) => {
    if (ends.includes(wait.kind)) return left(wait, now);
    return begins.includes(wait.kind) ? { ...wait, times: wait.times + 1, since: at } : wait;
  });
  const fresh = begins.filter((kind) => !waits.some((wait) => wait.kind === kind));
  return [...changed, ...fresh.map((kind) => ({ kind, times: 1, seconds: 0, since: at }))];
}

/** Seconds of a phase or a wait up to `now`, the stay that goes on included. */
export const secondsOf = ({ seconds, since }: Pick<PhaseTime, 'seconds' | 'since'>, now: Date): number =>
  seconds + (since === null ? 0 : secondsFrom(since, now));

/**
 * What a source has met so far, absolute, so that telling it twice changes nothing. Never less than it was told before; a
 * source beyond what a session remembers is left out.
 */
export function noteThrottling(known: readonly Throttling[], told: Throttling): readonly Throttling[] {
  if (told.calls === 0) return known;
  const before = known.find(({ source }) => source === told.source);
  if (!before) return known.length < MAX_SOURCES ? [...known, told] : known;
  if (before.calls >= told.calls && before.seconds >= told.seconds) return known;
  const calls = Math.max(before.calls, told.calls);
  const seconds = Math.max(before.seconds, told.seconds);
  return known.map((entry) => (entry === before ? { ...entry, calls, seconds } : entry));
}
