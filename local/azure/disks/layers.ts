/** The forest of layers: opening it, growing it, and folding away what no disk or snapshot names. */
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { CatalogRecord } from './catalog.ts';
import type { SlotRun } from './content.ts';
import { DiskStoreError } from './errors.ts';
import { CLEARED, type Extent, type IntervalMap } from './intervalMap.ts';
import { Layer } from './layer.ts';
import { mergeMaps } from './merge.ts';

/** What a fold leaves to do after the catalog is saved. */
export interface Folded {
  /** The layer that stands for these from now on. */
  replaced: Map<Layer, Layer>;
  /** Their files can go. */
  gone: Layer[];
  /** Their slots can be used again. */
  freed: SlotRun[];
}

export class Layers {
  readonly #folder: string;
  readonly #byNumber = new Map<number, Layer>();
  #next: number;

  /** Reads every layer that the catalog names and removes the files of others. */
  constructor(folder: string, record: CatalogRecord) {
    this.#folder = folder;
    this.#next = record.next.layer;
    mkdirSync(folder, { recursive: true });
    for (const { number } of record.layers) {
      this.#byNumber.set(number, Layer.open(number, undefined, this.#file(number)));
    }
    for (const { number, parent } of record.layers) {
      if (parent !== undefined) this.get(number).parent = this.get(parent);
    }
    const known = new Set(record.layers.map(({ number }) => this.#file(number)));
    for (const name of readdirSync(folder)) {
      if (!known.has(join(folder, name))) rmSync(join(folder, name), { force: true });
    }
  }

  get next(): number {
    return this.#next;
  }

  get(number: number): Layer {
    const layer = this.#byNumber.get(number);
    if (!layer)
      throw new DiskStoreError('damaged', `The disk store's list names layer ${number}, which is not in it.`);
    return layer;
  }

  grow(parent: Layer | undefined): Layer {
    const number = this.#next++;
    const layer = Layer.empty(number, parent, this.#file(number));
    this.#byNumber.set(number, layer);
    return layer;
  }

  records(): CatalogRecord['layers'] {
    return [...this.#byNumber.values()].map(({ number, parent }) =>
      parent ? { number, parent: parent.number } : { number },
    );
  }

  /** Every run of slots in use. */
  *owned(): Generator<SlotRun> {
    for (const layer of this.#byNumber.values()) yield* slotRuns(layer.map.all());
  }

  close(): void {
    for (const layer of this.#byNumber.values()) layer.close();
  }

  /**
   * After a disk or snapshot on `layer` is gone: drops layers that nothing stands on, and folds one that is only in the middle of a
   * chain into the one above. `named`: layers on which a disk or snapshot stands.
   */
  fold(layer: Layer, named: ReadonlySet<Layer>): Folded {
    const folded: Folded = { replaced: new Map(), gone: [], freed: [] };
    for (let current: Layer | undefined = layer; current && !named.has(current); ) {
      const [child, ...others] = [...this.#byNumber.values()].filter(({ parent }) => parent === current);
      if (others.length > 0) break;
      this.#remove(current, folded);
      if (child) {
        const merged = mergeMaps(current.map, child.map, current.parent === undefined);
        this.#replace(child, current.parent, merged.map, folded);
        folded.freed.push(...slotRuns(merged.hidden));
        break;
      }
      folded.freed.push(...slotRuns(current.map.all()));
      current = current.parent;
    }
    return folded;
  }

  #replace(child: Layer, parent: Layer | undefined, map: IntervalMap, folded: Folded): void {
    const number = this.#next++;
    const layer = Layer.of(number, parent, this.#file(number), map);
    for (const other of this.#byNumber.values()) if (other.parent === child) other.parent = layer;
    this.#remove(child, folded);
    this.#byNumber.set(number, layer);
    folded.replaced.set(child, layer);
  }

  #remove(layer: Layer, folded: Folded): void {
    this.#byNumber.delete(layer.number);
    folded.gone.push(layer);
  }

  #file(number: number): string {
    return join(this.#folder, `${number}.layer`);
  }
}

export function* slotRuns(extents: Iterable<Extent>): Generator<SlotRun> {
  for (const { start, end, slot } of extents) if (slot !== CLEARED) yield { slot, count: end - start };
}
