import { z } from 'zod';
import {
  HoldfastError,
  isHoldfastError,
  machineIdSchema,
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
});
/** A committed restore point as the catalog keeps it. `removedAt`: its manifest is void, the name stays taken. */
export type PointRow = z.infer<typeof pointRowSchema>;

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
  async add(point: RestorePoint, manifest: Uint8Array, tag: string): Promise<void> {
    const partition = keyPart(point.chainId);
    await this.#index(point.machineId, point.chainId);
    const document = pointRowSchema.parse({ point, tag, removedAt: null, damaged: false });
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
  async listMachine(machineId: string): Promise<PointRow[]> {
    const found: PointRow[] = [];
    for (const chainId of await this.chainsOf(machineId)) found.push(...(await this.list(chainId)));
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
  async markRemoved(chainId: string, sequence: number, at: Date): Promise<void> {
    if (!(await this.get(chainId, sequence))) return;
    await this.#rows.update(keyPart(chainId), summary(sequence), (row) =>
      row.removedAt === null ? { ...row, removedAt: at.toISOString() } : row,
    );
  }

  /** Notes whether a point can be read whole. Unknown: nothing happens. */
  async markDamaged(chainId: string, sequence: number, damaged: boolean): Promise<void> {
    if (!(await this.get(chainId, sequence))) return;
    await this.#rows.update(keyPart(chainId), summary(sequence), (row) =>
      row.damaged === damaged ? row : { ...row, damaged },
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
