import { type Job, jobSchema } from '../model/index.ts';
import type { EntityTable } from './entityTable.ts';
import { joinKey, keyPart, keysUnder } from './keys.ts';
import { Rows, type Versioned } from './rows.ts';

export interface JobKey {
  readonly pool: string;
  readonly sessionId: string;
  readonly id: string;
}

/** The rows of jobs, and no more: what may happen to a job is decided in lib/workers. */
export class Jobs {
  readonly #rows: Rows<Job>;

  constructor(table: EntityTable) {
    this.#rows = new Rows(table, jobSchema);
  }

  get(key: JobKey): Promise<Versioned<Job> | null> {
    return this.#rows.get(...name(key));
  }

  /** `alreadyExists` if the session has a job of that id. */
  insert(job: Job): Promise<Versioned<Job>> {
    return this.#rows.insert(...name(job), job);
  }

  /** `preconditionFailed` if the row has moved on. */
  replace(job: Job, etag: string): Promise<Versioned<Job>> {
    return this.#rows.replace(...name(job), job, etag);
  }

  /** Jobs of a session in a pool, in order of their ids, streamed. */
  ofSession(pool: string, sessionId: string): AsyncIterable<Versioned<Job>> {
    return this.#rows.list({ partition: keyPart(pool), ...keysUnder(sessionId) });
  }

  /** Forgets the jobs of a session that has ended. */
  async removeSession(pool: string, sessionId: string): Promise<void> {
    for await (const { value } of this.ofSession(pool, sessionId)) await this.#rows.remove(...name(value));
  }
}

const name = ({ pool, sessionId, id }: JobKey): [string, string] => [keyPart(pool), joinKey(sessionId, id)];
