/**
 * What the simulator remembers: named collections of JSON documents, held in memory and written through to one SQLite file.
 *
 * A write is durable against SIGKILL of the process when the call returns (write-ahead log); `transaction` makes several writes one.
 * Documents belong to the collection: change one only by `set`. One process at a time; a second opener is refused.
 */
import { chmodSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync, type StatementSync } from 'node:sqlite';

interface Statements {
  put: StatementSync;
  remove: StatementSync;
}

/** A keyed set of documents. Keys are case-insensitive, as ARM ids are. Iteration is in the order of creation. */
export class Collection<T extends object> {
  private readonly documents = new Map<string, T>();
  private readonly name: string;
  private readonly statements: Statements;

  constructor(name: string, statements: Statements, rows: Iterable<readonly [string, T]>) {
    this.name = name;
    this.statements = statements;
    for (const [key, document] of rows) this.documents.set(key, document);
  }

  get(key: string): T | undefined {
    return this.documents.get(key.toLowerCase());
  }

  has(key: string): boolean {
    return this.documents.has(key.toLowerCase());
  }

  set(key: string, document: T): T {
    const lower = key.toLowerCase();
    this.statements.put.run(this.name, lower, JSON.stringify(document));
    this.documents.set(lower, document);
    return document;
  }

  delete(key: string): boolean {
    const lower = key.toLowerCase();
    this.statements.remove.run(this.name, lower);
    return this.documents.delete(lower);
  }

  values(): T[] {
    return [...this.documents.values()];
  }

  filter(keep: (document: T) => boolean): T[] {
    return this.values().filter(keep);
  }
}

export class StateStore {
  private readonly database: DatabaseSync;
  private readonly statements: Statements;
  private readonly collections = new Map<string, Collection<object>>();
  private depth = 0;

  /** Opens `<folder>/azure.sqlite`, creating folder and file. Throws when another process holds it. */
  constructor(folder: string) {
    mkdirSync(folder, { recursive: true });
    const file = join(folder, 'azure.sqlite');
    this.database = new DatabaseSync(file);
    try {
      this.database.exec(
        'PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;',
      );
      this.database.exec(
        'CREATE TABLE IF NOT EXISTS documents (ordinal INTEGER PRIMARY KEY AUTOINCREMENT, collection TEXT NOT NULL, key TEXT NOT NULL, body TEXT NOT NULL, UNIQUE (collection, key))',
      );
    } catch (cause) {
      this.database.close();
      throw new Error(`The simulator's state ${file} cannot be opened: is another simulator running on it?`, {
        cause,
      });
    }
    // It holds the private key that signs tokens.
    chmodSync(file, 0o600);
    this.statements = {
      put: this.database.prepare(
        'INSERT INTO documents (collection, key, body) VALUES (?, ?, ?) ON CONFLICT (collection, key) DO UPDATE SET body = excluded.body',
      ),
      remove: this.database.prepare('DELETE FROM documents WHERE collection = ? AND key = ?'),
    };
  }

  collection<T extends object>(name: string): Collection<T> {
    const open = this.collections.get(name);
    if (open) return open as Collection<T>;
    const rows = this.database
      .prepare('SELECT key, body FROM documents WHERE collection = ? ORDER BY ordinal')
      .all(name)
      .map((row) => [String(row.key), JSON.parse(String(row.body)) as T] as const);
    const collection = new Collection<T>(name, this.statements, rows);
    this.collections.set(name, collection);
    return collection;
  }

  /** Runs `work` (synchronous) with all its writes in one transaction. A throw rolls the FILE back; the simulator stops on it. */
  transaction<R>(work: () => R): R {
    if (this.depth > 0) return work();
    this.database.exec('BEGIN IMMEDIATE');
    this.depth += 1;
    try {
      const result = work();
      this.database.exec('COMMIT');
      return result;
    } catch (error) {
      this.database.exec('ROLLBACK');
      throw error;
    } finally {
      this.depth -= 1;
    }
  }

  close(): void {
    this.database.close();
  }
}
