import {
  type Clock,
  enterPhase,
  firstSessionId,
  HoldfastError,
  isHoldfastError,
  type Session,
  type SessionKind,
  sessionSchema,
  setWaits,
  WAIT_KINDS,
} from '../model/index.ts';
import type { BatchAction, EntityTable } from './entityTable.ts';
import { invertId, joinKey, keysUnder } from './keys.ts';
import { contend, Rows } from './rows.ts';

const PARTITION = 'sessions';
/** Longest answer to one `list`. */
const MAX_PAGE = 200;

export interface SessionPage {
  /** Newest first. */
  readonly sessions: Session[];
  /** Pass as `after` for the next page; null at the end. */
  readonly next: string | null;
}

/**
 * Sessions, one row each, and empty index rows beside them that are written in the same batch: all by time, those of a
 * machine by time, those that a session started, and those that run.
 *
 * A session whose status is not `running` is final: later changes leave it as it is. How long it was in which phase follows
 * from the changes of `phase`; whoever changes it need not care.
 */
export class Sessions {
  readonly #rows: Rows<Session>;
  readonly #table: EntityTable;
  readonly #clock: Clock;

  constructor(table: EntityTable, clock: Clock) {
    this.#table = table;
    this.#rows = new Rows(table, sessionSchema);
    this.#clock = clock;
  }

  /** Create-only: true if this call made it; false if there is a session of that id, which stays as it is. */
  async create(session: Session): Promise<boolean> {
    const phases = enterPhase(
      [],
      session.status === 'running' ? session.phase : null,
      new Date(session.startedAt),
    );
    const document = sessionSchema.parse({ ...session, phases: [...session.phases, ...phases] });
    const entities = [{ row: rowOf(session.id), document }, ...indexes(session).map(empty)];
    try {
      await this.#table.batch(
        PARTITION,
        entities.map((entity) => ({ kind: 'insert' as const, entity })),
      );
      return true;
    } catch (error) {
      if (error instanceof HoldfastError && error.code === 'alreadyExists') return false;
      throw error;
    }
  }

  async get(id: string): Promise<Session | null> {
    return (await this.#rows.get(PARTITION, rowOf(id)))?.value ?? null;
  }

  /**
   * Changes a session by optimistic concurrency (see `Rows.update`) and returns it as it then is. A final session is
   * returned unchanged, `mutate` not called. `notFound` if there is none.
   */
  update(id: string, mutate: (session: Session) => Session): Promise<Session> {
    return contend(`session ${id}`, async () => {
      const current = await this.#rows.get(PARTITION, rowOf(id));
      if (!current) throw new HoldfastError('notFound', `There is no session ${id}.`, { target: id });
      if (current.value.status !== 'running') return current.value;
      const changed = mutate(current.value);
      if (changed === current.value) return changed;
      const next = timed(changed, this.#clock.now());
      if (next.status === 'running') {
        return (await this.#rows.replace(PARTITION, rowOf(id), next, current.etag)).value;
      }
      const document = sessionSchema.parse(next);
      const actions: BatchAction[] = [
        { kind: 'update', entity: { row: rowOf(id), document }, etag: current.etag },
        { kind: 'remove', row: joinKey('running', invertId(id)) },
      ];
      await this.#table.batch(PARTITION, actions);
      return document;
    });
  }

  /** Notes a sign of life, and changes what `mutate` changes besides. */
  touch(id: string, mutate: (session: Session) => Session = (session) => session): Promise<Session> {
    return this.update(id, (session) => ({
      ...mutate(session),
      touchedAt: this.#clock.now().toISOString(),
    }));
  }

  /** Asks a session to stop. Every poll and every worker call reads the flag. */
  requestCancel(id: string): Promise<Session> {
    return this.update(id, (session) =>
      session.cancelRequested ? session : { ...session, cancelRequested: true },
    );
  }

  /** Newest first; of one machine where one is given. `kind` is looked at within the page: a page may hold fewer than `limit`. */
  async list(
    filter: { machineId?: string; kind?: SessionKind; limit?: number; after?: string } = {},
  ): Promise<SessionPage> {
    const parts = filter.machineId === undefined ? ['all'] : ['machine', filter.machineId];
    const range = keysUnder(...parts);
    // One past the row that ended the last page.
    const from = filter.after === undefined ? range.from : `${joinKey(...parts, filter.after)}!`;
    const limit = Math.min(filter.limit ?? 50, MAX_PAGE);
    const inverted: string[] = [];
    let more = false;
    for await (const { row } of this.#table.query({ partition: PARTITION, from, before: range.before })) {
      if (inverted.length === limit) {
        more = true;
        break;
      }
      inverted.push(row.slice(range.from.length));
    }
    const sessions = await this.#all(inverted.map(invertId));
    return {
      sessions: filter.kind === undefined ? sessions : sessions.filter(({ kind }) => kind === filter.kind),
      next: more ? (inverted.at(-1) ?? null) : null,
    };
  }

  /** Those that a session started, in order of their start. */
  async children(parentId: string): Promise<Session[]> {
    const range = keysUnder('parent', parentId);
    const ids: string[] = [];
    for await (const { row } of this.#table.query({ partition: PARTITION, ...range })) {
      ids.push(row.slice(range.from.length));
    }
    return this.#all(ids);
  }

  /** Sessions of a stretch of time by their ids, oldest first, streamed: a page of rows a request. */
  async *between(from: Date | null, before: Date | null): AsyncIterable<Session> {
    const all = keysUnder('session');
    const range = {
      partition: PARTITION,
      from: from === null ? all.from : rowOf(firstSessionId(from)),
      before: before === null ? all.before : rowOf(firstSessionId(before)),
    };
    for await (const { value } of this.#rows.list(range)) yield value;
  }

  /** Forgets a session that has ended. One that runs stays: false. Unknown: true. */
  async forget(id: string): Promise<boolean> {
    const session = await this.get(id);
    if (!session) return true;
    if (session.status === 'running') return false;
    const rows = [rowOf(id), ...indexes(session)];
    try {
      await this.#table.batch(
        PARTITION,
        rows.map((row) => ({ kind: 'remove' as const, row })),
      );
    } catch (error) {
      // Somebody else forgot it at the same time.
      if (!isHoldfastError(error, 'preconditionFailed') || (await this.get(id)) !== null) throw error;
    }
    return true;
  }

  /** All that run, newest first. */
  async running(): Promise<Session[]> {
    const range = keysUnder('running');
    const ids: string[] = [];
    for await (const { row } of this.#table.query({ partition: PARTITION, ...range })) {
      ids.push(invertId(row.slice(range.from.length)));
    }
    return (await this.#all(ids)).filter(({ status }) => status === 'running');
  }

  async #all(ids: readonly string[]): Promise<Session[]> {
    const found: Session[] = [];
    for (let at = 0; at < ids.length; at += 16) {
      const some = await Promise.all(ids.slice(at, at + 16).map((id) => this.get(id)));
      found.push(...some.filter((session) => session !== null));
    }
    return found;
  }
}

/** A session that ended is in no phase any more, and waits for nothing. */
function timed(session: Session, now: Date): Session {
  if (session.status === 'running')
    return { ...session, phases: enterPhase(session.phases, session.phase, now) };
  const at = session.endedAt === null ? now : new Date(session.endedAt);
  const waits = setWaits(session.waits, [], WAIT_KINDS, at);
  return { ...session, phases: enterPhase(session.phases, null, at), waits: [...waits] };
}

const rowOf = (id: string): string => joinKey('session', id);
const empty = (row: string) => ({ row, document: null });

function indexes({ id, machineId, parentId, status }: Session): string[] {
  const rows = [joinKey('all', invertId(id))];
  if (machineId !== null) rows.push(joinKey('machine', machineId, invertId(id)));
  if (parentId !== null) rows.push(joinKey('parent', parentId, id));
  if (status === 'running') rows.push(joinKey('running', invertId(id)));
  return rows;
}
