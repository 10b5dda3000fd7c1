import type { Installation } from '../../installation/index.ts';
import { isHoldfastError, type Job, type Session, secondsOf } from '../../model/index.ts';
import { poolOf } from '../state.ts';

/** Sessions below one that are shown; a run of more machines says how many are left out. */
const MOST_CHILDREN = 500;
const SIDE_BY_SIDE = 16;
/** A run, its machines, what these started: nothing is deeper. */
const DEEPEST = 4;

/** A piece of the work on one disk, done by one worker at a time. Bytes. */
export interface ShardNode {
  readonly id: string;
  readonly kind: Job['spec']['kind'];
  readonly state: Job['state'];
  /** How often it was begun. */
  readonly attempt: number;
  /** Who does it, or did it last. */
  readonly owner: string | null;
  readonly doneBytes: number;
  readonly readBytes: number;
  readonly storedBytes: number;
  /** Why earlier attempts failed. */
  readonly failures: readonly string[];
}

export interface SessionNode {
  readonly session: Session;
  readonly disks: readonly {
    readonly disk: Session['disks'][number];
    readonly shards: readonly ShardNode[];
  }[];
  readonly children: readonly SessionNode[];
  /** Children that are not listed. */
  readonly more: number;
}

/** A session with what it consists of: the sessions that it started, their disks, and the shards of each disk. */
export async function readTree(
  installation: Installation,
  session: Session,
  depth = DEEPEST,
): Promise<SessionNode> {
  const all = depth === 0 ? [] : await installation.catalog.sessions.children(session.id);
  const listed = all.slice(0, MOST_CHILDREN);
  const children: SessionNode[] = [];
  for (let at = 0; at < listed.length; at += SIDE_BY_SIDE) {
    const some = listed.slice(at, at + SIDE_BY_SIDE);
    children.push(...(await Promise.all(some.map((child) => readTree(installation, child, depth - 1)))));
  }
  const shards = session.disks.length === 0 ? [] : await readShards(installation, session);
  return {
    session,
    disks: session.disks.map((disk) => ({
      disk,
      shards: shards.filter(({ number }) => number === disk.number).map(({ node }) => node),
    })),
    children,
    more: all.length - listed.length,
  };
}

async function readShards(
  installation: Installation,
  { id }: Session,
): Promise<{ number: number; node: ShardNode }[]> {
  const found: { number: number; node: ShardNode }[] = [];
  try {
    const pool = await poolOf(installation, id);
    for await (const { value: job } of installation.catalog.jobs.ofSession(pool, id))
      found.push({ number: job.spec.disk, node: shardNode(job) });
  } catch (error) {
    // It has not been opened, or its jobs are forgotten already.
    if (!isHoldfastError(error, 'internal') && !isHoldfastError(error, 'notFound')) throw error;
  }
  return found;
}

function shardNode({ id, spec, state, attempt, owner, progress, failures, result }: Job): ShardNode {
  return {
    id,
    kind: spec.kind,
    state,
    attempt,
    owner,
    ...(result ? doneOf(result) : progress),
    failures: failures.map((failure) => `attempt ${failure.attempt}: ${failure.code}: ${failure.message}`),
  };
}

function doneOf(result: NonNullable<Job['result']>) {
  switch (result.kind) {
    case 'plan':
      return { doneBytes: result.sampledBytes, readBytes: result.sampledBytes, storedBytes: 0 };
    case 'move':
      return { doneBytes: result.readBytes, readBytes: result.readBytes, storedBytes: result.storedBytes };
    case 'restore':
      return {
        doneBytes: result.writtenBytes,
        readBytes: result.writtenBytes,
        storedBytes: result.writtenBytes,
      };
  }
}

/** Where the session's time went, the stays that go on counted up to `now`. Seconds. */
export function timesOf(session: Session, now: Date) {
  return {
    phases: session.phases.map(({ phase, startedAt, endedAt, ...stay }) => ({
      phase,
      startedAt,
      endedAt,
      seconds: secondsOf(stay, now),
    })),
    waits: session.waits.map(({ kind, times, ...stay }) => ({ kind, times, seconds: secondsOf(stay, now) })),
    throttling: session.throttling.reduce(
      (sum, { calls, seconds }) => ({ calls: sum.calls + calls, seconds: sum.seconds + seconds }),
      { calls: 0, seconds: 0 },
    ),
  };
}
