/**
 * One write generation of a disk: what was written and cleared between two snapshots. Pages it does not speak of are those of its parent.
 *
 * On disk a layer is a journal of fixed-size records [page, count, slot], little-endian doubles, each the effect of one write or clear.
 * A record is complete or (the process died in the middle) not there: a torn tail is dropped at open, and was never acknowledged.
 */
import {
  closeSync,
  existsSync,
  ftruncateSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { CLEARED, type Extent, IntervalMap } from './intervalMap.ts';

const RECORD_BYTES = 24;
/** In a record: the layer no longer speaks of these pages. */
const ABSENT = -2;
const COMPACT_RECORDS = 4096;

/** Pages [page, page + count) are from now on in slots from `slot`, CLEARED, or (undefined) the parent's. */
export interface LayerChange {
  page: number;
  count: number;
  slot: number | undefined;
}

export class Layer {
  readonly number: number;
  /** Changes only when layers are merged. */
  parent: Layer | undefined;
  readonly map: IntervalMap;
  readonly #file: string;
  #records = 0;
  #descriptor: number | undefined;

  private constructor(number: number, parent: Layer | undefined, file: string, map: IntervalMap) {
    this.number = number;
    this.parent = parent;
    this.map = map;
    this.#file = file;
  }

  /** A new, empty layer. Its file is made by the first change. */
  static empty(number: number, parent: Layer | undefined, file: string): Layer {
    rmSync(file, { force: true });
    return new Layer(number, parent, file, new IntervalMap());
  }

  /** A layer with this content, written whole. Takes the map over. */
  static of(number: number, parent: Layer | undefined, file: string, map: IntervalMap): Layer {
    const layer = new Layer(number, parent, file, map);
    layer.#rewrite();
    return layer;
  }

  /** The layer that the file describes; a missing file is an empty layer. */
  static open(number: number, parent: Layer | undefined, file: string): Layer {
    const layer = new Layer(number, parent, file, new IntervalMap());
    if (!existsSync(file)) return layer;
    const bytes = readFileSync(file);
    const whole = bytes.length - (bytes.length % RECORD_BYTES);
    for (let at = 0; at < whole; at += RECORD_BYTES) {
      const page = bytes.readDoubleLE(at);
      const slot = bytes.readDoubleLE(at + 16);
      layer.map.replace(page, page + bytes.readDoubleLE(at + 8), slot === ABSENT ? undefined : slot);
    }
    if (whole < bytes.length) truncateSync(file, whole);
    layer.#records = whole / RECORD_BYTES;
    return layer;
  }

  /** This layer and those below it, the topmost first. */
  chain(): Layer[] {
    const layers: Layer[] = [this];
    for (let { parent } = this; parent; { parent } = parent) layers.push(parent);
    return layers;
  }

  /** What this layer and those below it say, the topmost first. */
  maps(): IntervalMap[] {
    return this.chain().map(({ map }) => map);
  }

  /** Makes changes durable, then visible. Returns the extents with slots that they displaced. All or none take effect. */
  apply(changes: readonly LayerChange[]): Extent[] {
    this.#append(changes);
    const displaced = changes.flatMap(({ page, count, slot }) => this.map.replace(page, page + count, slot));
    if (this.#records > COMPACT_RECORDS && this.#records > 4 * this.map.size) this.#rewrite();
    return displaced.filter((extent) => extent.slot !== CLEARED);
  }

  /** The layer is complete: nothing is written to it any more. */
  freeze(): void {
    if (this.#records > 2 * this.map.size) this.#rewrite();
    this.close();
  }

  close(): void {
    if (this.#descriptor !== undefined) closeSync(this.#descriptor);
    this.#descriptor = undefined;
  }

  /** Removes the file. */
  discard(): void {
    this.close();
    rmSync(this.#file, { force: true });
  }

  #append(changes: readonly LayerChange[]): void {
    const bytes = Buffer.alloc(changes.length * RECORD_BYTES);
    for (const [index, { page, count, slot }] of changes.entries())
      encode(bytes, index, page, count, slot ?? ABSENT);
    this.#descriptor ??= openSync(this.#file, 'a', 0o600);
    try {
      for (let done = 0; done < bytes.length; ) done += writeSync(this.#descriptor, bytes, done);
    } catch (cause) {
      // A full disk may have taken half of it; later records must not follow a torn one.
      ftruncateSync(this.#descriptor, this.#records * RECORD_BYTES);
      throw cause;
    }
    this.#records += changes.length;
  }

  #rewrite(): void {
    this.close();
    const bytes = Buffer.alloc(this.map.size * RECORD_BYTES);
    let index = 0;
    for (const { start, end, slot } of this.map.all()) encode(bytes, index++, start, end - start, slot);
    writeFileSync(`${this.#file}.new`, bytes, { mode: 0o600 });
    renameSync(`${this.#file}.new`, this.#file);
    this.#records = index;
  }
}

function encode(bytes: Buffer, index: number, page: number, count: number, slot: number): void {
  bytes.writeDoubleLE(page, index * RECORD_BYTES);
  bytes.writeDoubleLE(count, index * RECORD_BYTES + 8);
  bytes.writeDoubleLE(slot, index * RECORD_BYTES + 16);
}
