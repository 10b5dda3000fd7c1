import { z } from 'zod';
import {
  HoldfastError,
  isHoldfastError,
  machineIdSchema,
  pointRetentionSchema,
  type RestorePoint,
  restorePointSchema,
} from '../model/index.ts';
import type { EntityTable } from './entityTable.ts';
import { joinKey, keyPart, keysUnder, numberKey } from './keys.ts';
import { Rows } from './rows.ts';

const pointRowSchema = z.object({
  point: restorePointSchema,
  /** Authentication tag of the manifest, hex. */
  tag: z.string(),
  removedAt: z.iso.datetime().nullable(),
  /** A check found that it cannot be read whole; its state in the repository says what is lost. */
  damaged: z.boolean().default(false),
  /** A check found its manifest gone, though nobody here removed it. */
  missing: z.boolean().default(false),
  /** What the point says of its retention: its manifest, overridden by its state. */
  retention: pointRetentionSchema,
  /** Counter of the state that was seen last; 0: none. An older state is one that was put back. */
  stateCounter: z.number().int().nonnegative(),
  /** The repository that holds it, by its own id; null: the one of the settings. */
  repositoryId: z.string().nullable().default(null),
  /** It cannot be removed before, by anybody; null: it can. */
  immutableUntil: z.iso.datetime().nullable().default(null),
  /** Why a removed one went, for people. */
  removedWhy: z.string().nullable().default(null),
});
/** A committed restore point as the catalog keeps it. `removedAt`: its manifest is void, the name stays taken. */
export type PointRow = z.infer<typeof pointRowSchema>;

/** What a point's state says, as far as the catalog repeats it. */
export type PointStateFacts = Pick<PointRow, 'retention' | 'stateCounter'>;
/** What the catalog knows of a point besides its manifest. */
export type PointFacts = PointStateFacts & Partial<Pick<PointRow, 'repositoryId' | 'immutableUntil'>>;
const NO_STATE: PointStateFacts = {
  retention: { flags: [], rules: null, hold: null, expiresAt: null },
  stateCounter: 0,
};

/**
 * The catalog's copy of what is committed. The repository is the truth: a row is written after the manifest, and may be
 * written again. The summary and the manifest's bytes are two rows of the chain's partition, written together, so that a list
 * does not carry manifests.
 */
export class Points {
  readonly #rows: Rows<PointRow>;
  readonly #table: EntityTable;

  constructor(table: EntityTable) {
    this.#table = table;
    this.#rows = new Rows(table, pointRowSchema);
  }

  /**
   * Adds a point with its manifest, as stored in the repository (bytes, under about 1 MiB). Adding it again changes nothing; another
   * manifest under the same number is `conflict`.
   */
  async add(
    point: RestorePoint,
    manifest: Uint8Array,
    tag: string,
    facts: PointFacts = NO_STATE,
  ): Promise<void> {
    const partition = keyPart(point.chainId);
    await this.#index(point.machineId, point.chainId);
    const document = pointRowSchema.parse({ point, tag, removedAt: null, damaged: false, ...facts });
    try {
      await this.#table.batch(partition, [
        { kind: 'insert', entity: { row: summary(point.sequence), document } },
        { kind: 'insert', entity: { row: body(point.sequence), document: null, bytes: manifest } },
      ]);
    } catch (error) {
      if (!isHoldfastError(error, 'alreadyExists')) throw error;
      const there = await this.#rows.get(partition, summary(point.sequence));
      if (there?.value.tag !== tag) {
        const target = `${point.chainId}/${point.sequence}`;
        throw new HoldfastError('conflict', `The catalog has another manifest for restore point ${target}.`, {
          target,
        });
      }
    }
  }

  /** Null if the catalog does not know it; a removed one is returned with its `removedAt`. */
  async get(chainId: string, sequence: number): Promise<PointRow | null> {
    return (await this.#rows.get(keyPart(chainId), summary(sequence)))?.value ?? null;
  }

  /** The manifest's bytes; null if the catalog does not know it. */
  async manifest(chainId: string, sequence: number): Promise<Uint8Array | null> {
    return (await this.#table.get(keyPart(chainId), body(sequence)))?.bytes ?? null;
  }

  /** Points of a chain in order of their number, without the removed ones unless asked for. */
  async list(chainId: string, options: { removed?: boolean } = {}): Promise<PointRow[]> {
    const found = await this.#rows.values({ partition: keyPart(chainId), ...keysUnder('point') });
    return options.removed ? found : found.filter(({ removedAt }) => removedAt === null);
  }

  /** Points of a machine in all its chains, in order of their time. */
  async listMachine(machineId: string, options: { removed?: boolean } = {}): Promise<PointRow[]> {
    const found: PointRow[] = [];
    for (const chainId of await this.chainsOf(machineId)) found.push(...(await this.list(chainId, options)));
    return found.sort((a, b) => a.point.committedAt.localeCompare(b.point.committedAt));
  }

  /** The chains in which a machine has, or had, points. */
  async chainsOf(machineId: string): Promise<string[]> {
    const found: string[] = [];
    const partition = joinKey('machine', machineId);
    for await (const { row } of this.#table.query({ partition })) found.push(row);
    return found;
  }

  /** Machines that have, or had, points. */
  async machines(): Promise<string[]> {
    const found: string[] = [];
    for await (const { document } of this.#table.query({ partition: MACHINES })) {
      found.push(machineIdSchema.parse(document));
    }
    return found;
  }

  /** Marks a point as removed, after its manifest was made void. Again, or unknown: nothing happens. */
  async markRemoved(
    chainId: string,
    sequence: number,
    at: Date,
    removedWhy: string | null = null,
  ): Promise<void> {
    if (!(await this.get(chainId, sequence))) return;
    await this.#rows.update(keyPart(chainId), summary(sequence), (row) =>
      row.removedAt === null ? { ...row, removedAt: at.toISOString(), removedWhy } : row,
    );
  }

  /** Repeats what was written into a point's state. One that is older than what is known changes nothing; nor an unknown point. */
  async noteState(chainId: string, sequence: number, state: PointStateFacts): Promise<void> {
    if (!(await this.get(chainId, sequence))) return;
    await this.#rows.update(keyPart(chainId), summary(sequence), (row) =>
      row.stateCounter > state.stateCounter ? row : { ...row, ...state },
    );
  }

  /** Notes until when a point cannot be removed. Unknown: nothing happens. */
  async noteLock(chainId: string, sequence: number, until: Date | null): Promise<void> {
    if (!(await this.get(chainId, sequence))) return;
    const immutableUntil = until?.toISOString() ?? null;
    await this.#rows.update(keyPart(chainId), summary(sequence), (row) =>
      row.immutableUntil === immutableUntil ? row : { ...row, immutableUntil },
    );
  }

  /** Forgets every point of a repository, which is not the installation's any more. Its objects are left alone. */
  async forgetRepository(repositoryId: string): Promise<number> {
    let forgotten = 0;
    for (const machineId of await this.machines()) {
      for (const chainId of await this.chainsOf(machineId)) {
        const rows = await this.list(chainId, { removed: true });
        if (rows[0]?.repositoryId !== repositoryId) continue;
        for (const { point, removedAt } of rows) {
          if (removedAt === null) forgotten++;
          await this.#table.batch(keyPart(chainId), [
            { kind: 'remove', row: summary(point.sequence) },
            { kind: 'remove', row: body(point.sequence) },
          ]);
        }
      }
    }
    return forgotten;
  }

  /**
   * Notes whether a point can be read whole, and the counter of the state that says so, which never goes back. Unknown: nothing
   * happens.
   */
  async markDamaged(chainId: string, sequence: number, damaged: boolean, counter = 0): Promise<void> {
    if (!(await this.get(chainId, sequence))) return;
    await this.#rows.update(keyPart(chainId), summary(sequence), (row) => {
      const stateCounter = Math.max(row.stateCounter, counter);
      return row.damaged === damaged && row.stateCounter === stateCounter
        ? row
        : { ...row, damaged, stateCounter };
    });
  }

  /** Notes whether the repository still has a point that nobody here removed. Unknown: nothing happens. */
  async markMissing(chainId: string, sequence: number, missing: boolean): Promise<void> {
    if (!(await this.get(chainId, sequence))) return;
    await this.#rows.update(keyPart(chainId), summary(sequence), (row) =>
      row.missing === missing ? row : { ...row, missing },
    );
  }

  /** Written before the first point, so that no point is unreachable from its machine. */
  async #index(machineId: string, chainId: string): Promise<void> {
    const entries = [
      { partition: MACHINES, row: keyPart(machineId), document: machineId },
      { partition: joinKey('machine', machineId), row: keyPart(chainId), document: null },
    ];
    for (const entity of entries) {
      try {
        await this.#table.insert(entity);
      } catch (error) {
        if (!isHoldfastError(error, 'alreadyExists')) throw error;
      }
    }
  }
}

const MACHINES = 'machines';
const summary = (sequence: number): string => joinKey('point', numberKey(sequence));
const body = (sequence: number): string => joinKey('manifest', numberKey(sequence));
