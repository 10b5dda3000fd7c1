/**
 * A table of small documents, as the catalog needs it: Azure Table Storage, or memory.
 *
 * Contract
 * - An entity is named by partition and row; keys are `KEY` below (see `keys.ts` for anything longer or stranger).
 * - `document` is JSON: what `JSON.stringify` keeps of it is what comes back. `bytes` is an optional blob beside it.
 *   Together they may take just under 1 MiB as the table counts (two bytes a character): more is `invalidInput`.
 * - `etag` is opaque and changes with each write of that entity.
 * - Every call may be sent twice by the transport: `alreadyExists` and `preconditionFailed` may then mean one's own first
 *   try. The caller decides by reading the entity; the table does not guess.
 * - Every method throws `HoldfastError`: those codes, `invalidInput`, `accessDenied`, `throttled`, `unavailable`, `timeout`.
 */
export interface EntityTable {
  /** For messages: the table's name. */
  readonly name: string;
  /** Null if there is no such entity. */
  get(partition: string, row: string): Promise<StoredEntity | null>;
  /** Creates the entity and returns its etag; `alreadyExists` if the name is taken. */
  insert(entity: Entity): Promise<string>;
  /** Replaces the entity if it still has this etag, and returns the new one; else, or if it is gone, `preconditionFailed`. */
  update(entity: Entity, etag: string): Promise<string>;
  /** Removes the entity if it still has this etag (`preconditionFailed`). A missing entity is no error. */
  remove(partition: string, row: string, etag: string): Promise<void>;
  /** Entities in order of partition and row, streamed. What changes during the iteration may or may not be seen. */
  query(range: EntityRange): AsyncIterable<StoredEntity>;
  /**
   * All of the actions or none, in one partition: at most 100, each of another row. Removing a missing row, or updating
   * one that has moved on, fails the batch with `preconditionFailed`; inserting a taken row with `alreadyExists`.
   */
  batch(partition: string, actions: readonly BatchAction[]): Promise<void>;
}

export interface Entity {
  readonly partition: string;
  readonly row: string;
  readonly document: unknown;
  readonly bytes?: Uint8Array | undefined;
}

export interface StoredEntity extends Entity {
  readonly etag: string;
}

/** Without a partition: the whole table, which is for small tables only. Rows `from` (included) to `before` (excluded). */
export interface EntityRange {
  readonly partition?: string | undefined;
  readonly from?: string | undefined;
  readonly before?: string | undefined;
}

export type BatchAction =
  | { readonly kind: 'insert'; readonly entity: Omit<Entity, 'partition'> }
  | { readonly kind: 'update'; readonly entity: Omit<Entity, 'partition'>; readonly etag: string }
  | { readonly kind: 'remove'; readonly row: string };

export const MAX_BATCH = 100;
/** What a key may be: plain enough for every table service, its URLs and its filters. */
export const KEY = /^[A-Za-z0-9!._~:-]{1,480}$/;
