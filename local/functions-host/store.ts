import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite';
import type { HistoryEvent } from './history.ts';
import { type RuntimeStatus, terminalStatuses } from './runtimeStatus.ts';

export interface InstanceRow {
  instanceId: string;
  executionId: string;
  name: string;
  version: string | null;
  status: RuntimeStatus;
  /** JSON text, like output and customStatus. */
  input: string;
  output: string | null;
  customStatus: string | null;
  /** Milliseconds since 1970, like every time in the store. */
  createdAt: number;
  updatedAt: number;
  /** The parent of a child orchestration, as JSON of `ParentInstance`. */
  parent: string | null;
  traceParent: string | null;
}

export interface Message {
  seq: number;
  instanceId: string;
  /** The execution that the message is for; null for whichever runs when it is read. */
  executionId: string | null;
  event: HistoryEvent;
  visibleAt: number;
}

export interface TaskRow {
  instanceId: string;
  executionId: string;
  taskId: number;
  name: string;
  input: string;
  traceParent: string | null;
}

export interface ScheduleRow {
  functionName: string;
  expression: string;
  last: number | null;
  next: number;
  updatedAt: number;
}

const schema = `
  create table if not exists instances (
    instanceId text primary key, executionId text not null, name text not null, version text,
    status text not null, input text not null, output text, customStatus text,
    createdAt integer not null, updatedAt integer not null, parent text, traceParent text) strict;
  create index if not exists instancesByCreation on instances (createdAt, instanceId);
  create table if not exists history (
    instanceId text not null, executionId text not null, n integer not null, event text not null,
    primary key (instanceId, executionId, n)) strict, without rowid;
  create table if not exists inbox (
    seq integer primary key autoincrement, instanceId text not null, executionId text,
    event text not null, visibleAt integer not null) strict;
  create index if not exists inboxByInstance on inbox (instanceId, visibleAt);
  create index if not exists inboxByTime on inbox (visibleAt);
  create table if not exists tasks (
    instanceId text not null, executionId text not null, taskId integer not null,
    name text not null, input text not null, traceParent text,
    primary key (instanceId, executionId, taskId)) strict;
  create table if not exists schedules (
    functionName text primary key, expression text not null, last integer, next integer not null,
    updatedAt integer not null) strict;
`;

/** Raised with each change of the tables that an older host could not read. */
const schemaVersion = 1;

/**
 * The task hub in one SQLite file. Nothing here decides anything. Each method is one statement or a few; what
 * belongs together is wrapped in `transaction`, which is on the disk when it returns.
 */
export class Store {
  readonly #db: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();

  constructor(file: string) {
    this.#db = new DatabaseSync(file);
    this.#db.exec('pragma journal_mode = wal; pragma synchronous = full; pragma busy_timeout = 2000;');
    const found = Number(this.#one('pragma user_version')?.['user_version']);
    if (found !== 0 && found !== schemaVersion) {
      this.#db.close();
      throw new Error(
        `The task hub ${file} has format ${found}, this host reads format ${schemaVersion}. ` +
          'Use the host that wrote it, or remove the folder to begin anew.',
      );
    }
    this.#db.exec(schema);
    this.#db.exec(`pragma user_version = ${schemaVersion}`);
  }

  close(): void {
    this.#statements.clear();
    this.#db.close();
  }

  /** Runs `work` in one transaction, undone as a whole when it throws. Not to be nested. */
  transaction<T>(work: () => T): T {
    this.#db.exec('begin immediate');
    try {
      const result = work();
      this.#db.exec('commit');
      return result;
    } catch (error) {
      if (this.#db.isTransaction) this.#db.exec('rollback');
      throw error;
    }
  }

  instance(instanceId: string): InstanceRow | undefined {
    return this.#one('select * from instances where instanceId = ?', instanceId) as InstanceRow | undefined;
  }

  /** Instances by creation time, `after` (exclusive) on; at most `limit`. */
  instances(
    filter: InstanceFilter,
    limit: number,
    after?: { createdAt: number; instanceId: string },
  ): InstanceRow[] {
    const from = filter.createdFrom?.getTime() ?? Number.MIN_SAFE_INTEGER;
    const to = filter.createdTo?.getTime() ?? Number.MAX_SAFE_INTEGER;
    const statuses = filter.statuses?.length ? JSON.stringify(filter.statuses) : null;
    return this.#all(
      `select * from instances where createdAt between ? and ? and (createdAt, instanceId) > (?, ?)
         and instanceId >= ? and substr(instanceId, 1, length(?)) = ?
         and (? is null or status in (select value from json_each(?)))
       order by createdAt, instanceId limit ?`,
      from,
      to,
      after?.createdAt ?? Number.MIN_SAFE_INTEGER,
      after?.instanceId ?? '',
      filter.prefix ?? '',
      filter.prefix ?? '',
      filter.prefix ?? '',
      statuses,
      statuses,
      limit,
    ) as unknown as InstanceRow[];
  }

  putInstance(row: InstanceRow): void {
    this.#run(
      `insert or replace into instances (instanceId, executionId, name, version, status, input, output,
         customStatus, createdAt, updatedAt, parent, traceParent) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      row.instanceId,
      row.executionId,
      row.name,
      row.version,
      row.status,
      row.input,
      row.output,
      row.customStatus,
      row.createdAt,
      row.updatedAt,
      row.parent,
      row.traceParent,
    );
  }

  /** Removes what an instance left: its history, messages and tasks; with `row`, itself too. */
  clear(instanceId: string, also?: 'row'): void {
    for (const table of ['history', 'inbox', 'tasks']) {
      this.#run(`delete from ${table} where instanceId = ?`, instanceId);
    }
    if (also === 'row') this.#run('delete from instances where instanceId = ?', instanceId);
  }

  history(instanceId: string, executionId: string): HistoryEvent[] {
    return this.#all(
      'select event from history where instanceId = ? and executionId = ? order by n',
      instanceId,
      executionId,
    ).map((row) => JSON.parse(String(row['event'])) as HistoryEvent);
  }

  /** Appends events as number `from` and following. */
  appendHistory(
    instanceId: string,
    executionId: string,
    from: number,
    events: readonly HistoryEvent[],
  ): void {
    for (const [index, event] of events.entries()) {
      this.#run(
        'insert into history (instanceId, executionId, n, event) values (?, ?, ?, ?)',
        instanceId,
        executionId,
        from + index,
        JSON.stringify(event),
      );
    }
  }

  send(instanceId: string, executionId: string | null, event: HistoryEvent, visibleAt: number): void {
    this.#run(
      'insert into inbox (instanceId, executionId, event, visibleAt) values (?, ?, ?, ?)',
      instanceId,
      executionId,
      JSON.stringify(event),
      visibleAt,
    );
  }

  /** The messages of an instance that may be read at `now`, the earliest first. */
  inbox(instanceId: string, now: number): Message[] {
    return this.#all(
      'select * from inbox where instanceId = ? and visibleAt <= ? order by visibleAt, seq',
      instanceId,
      now,
    ).map((row) => {
      return { ...row, event: JSON.parse(String(row['event'])) as HistoryEvent } as unknown as Message;
    });
  }

  removeMessage(seq: number): void {
    this.#run('delete from inbox where seq = ?', seq);
  }

  /** The instances that have a message to read at `now`. */
  due(now: number): string[] {
    return this.#all('select distinct instanceId from inbox where visibleAt <= ?', now).map((row) =>
      String(row['instanceId']),
    );
  }

  /** When the next message after `now` becomes readable. */
  nextDue(now: number): number | undefined {
    const next = this.#one('select min(visibleAt) as next from inbox where visibleAt > ?', now)?.['next'];
    return next === null || next === undefined ? undefined : Number(next);
  }

  putTask(task: TaskRow): void {
    this.#run(
      `insert into tasks (instanceId, executionId, taskId, name, input, traceParent) values (?, ?, ?, ?, ?, ?)`,
      task.instanceId,
      task.executionId,
      task.taskId,
      task.name,
      task.input,
      task.traceParent,
    );
  }

  tasks(): TaskRow[] {
    return this.#all('select * from tasks order by rowid') as unknown as TaskRow[];
  }

  /** Removes a task; false when it was gone. */
  removeTask(task: TaskRow): boolean {
    const { instanceId, executionId, taskId } = task;
    const result = this.#run(
      'delete from tasks where instanceId = ? and executionId = ? and taskId = ?',
      instanceId,
      executionId,
      taskId,
    );
    return result.changes === 1;
  }

  /** Removes the messages and tasks of an instance that has ended. */
  dropWork(instanceId: string): void {
    this.#run('delete from inbox where instanceId = ?', instanceId);
    this.#run('delete from tasks where instanceId = ?', instanceId);
  }

  schedule(functionName: string): ScheduleRow | undefined {
    return this.#one('select * from schedules where functionName = ?', functionName) as
      | ScheduleRow
      | undefined;
  }

  putSchedule(row: ScheduleRow): void {
    this.#run(
      'insert or replace into schedules (functionName, expression, last, next, updatedAt) values (?, ?, ?, ?, ?)',
      row.functionName,
      row.expression,
      row.last,
      row.next,
      row.updatedAt,
    );
  }

  #prepare(sql: string): StatementSync {
    const known = this.#statements.get(sql);
    if (known) return known;
    const statement = this.#db.prepare(sql);
    this.#statements.set(sql, statement);
    return statement;
  }

  #one(sql: string, ...values: SQLInputValue[]): Record<string, unknown> | undefined {
    return this.#prepare(sql).get(...values);
  }

  #all(sql: string, ...values: SQLInputValue[]): Record<string, unknown>[] {
    return this.#prepare(sql).all(...values);
  }

  #run(sql: string, ...values: SQLInputValue[]): { changes: number | bigint } {
    return this.#prepare(sql).run(...values);
  }
}

export interface InstanceFilter {
  createdFrom?: Date | undefined;
  createdTo?: Date | undefined;
  statuses?: readonly RuntimeStatus[] | undefined;
  prefix?: string | undefined;
}

/** True for an instance that has ended: it takes no more messages, and its id may be used again. */
export function isOver(row: InstanceRow): boolean {
  return terminalStatuses.includes(row.status);
}
