import { ByteReader, ByteWriter } from './byteCodec.ts';
import type { SealingKey } from './keys.ts';
import { type MapId, mapName } from './names.ts';
import type { PackIndex } from './packIndex.ts';
import type { Page } from './page.ts';
import { RecordWriter, type SealedObject } from './recordObject.ts';
import { KIND } from './sealedObject.ts';

/** A page that a shard wrote. `record` is null when the page became empty. */
export interface DirectoryPage {
  readonly page: number;
  readonly record: number | null;
  readonly present: number;
}

/** A pack that the same attempt at the shard wrote. `record` holds its index. */
export interface DirectoryPack {
  readonly number: number;
  /** Bytes of the pack object. */
  readonly length: number;
  readonly record: number;
}

/** What a map object holds: its pages in disk order, then the indexes of its shard's packs. */
export interface MapDirectory {
  readonly pages: readonly DirectoryPage[];
  readonly packs: readonly DirectoryPack[];
}

/**
 * Index payload of a map object: number of pages; for each the difference of its number from the one before (the first
 * from -1) and its present blocks (0: the page is empty and has no record); number of packs; for each its number and length. Pages take the records from 0, packs those that follow.
 */
function encodeDirectory(
  pages: readonly Omit<DirectoryPage, 'record'>[],
  packs: readonly Omit<DirectoryPack, 'record'>[],
): Buffer {
  const writer = new ByteWriter(pages.length * 4 + packs.length * 8 + 16).varint(pages.length);
  let before = -1;
  for (const { page, present } of pages) {
    writer.varint(page - before).varint(present);
    before = page;
  }
  writer.varint(packs.length);
  for (const { number, length } of packs) writer.varint(number).varint(length);
  return writer.done();
}

/** Throws a `RangeError` on anything else; `records` is the number of records of the object. */
export function decodeDirectory(payload: Buffer, records: number): MapDirectory {
  const reader = new ByteReader(payload);
  let record = 0;
  let page = -1;
  const pages: DirectoryPage[] = [];
  for (let left = reader.varint(); left > 0; left--) {
    const step = reader.varint();
    if (step === 0) throw new RangeError('lists a page twice');
    page += step;
    const present = reader.varint();
    pages.push({ page, present, record: present === 0 ? null : record++ });
  }
  const packs: DirectoryPack[] = [];
  for (let left = reader.varint(); left > 0; left--) {
    packs.push({ number: reader.varint(), length: reader.varint(), record: record++ });
  }
  reader.end();
  if (record !== records) throw new RangeError('lists another number of records than it has');
  return { pages, packs };
}

/** Builds the map object of one attempt at a shard. Pages come in disk order. */
export class MapWriter {
  readonly name: string;
  readonly #records: RecordWriter;
  readonly #pages: Omit<DirectoryPage, 'record'>[] = [];
  readonly #packs: (Omit<DirectoryPack, 'record'> & { index: PackIndex })[] = [];

  constructor(key: SealingKey, chain: string, id: MapId) {
    this.name = mapName(chain, id);
    this.#records = new RecordWriter(key, { kind: KIND.map, chain, name: this.name });
  }

  addPage(page: number, content: Page): void {
    if (content.present > 0) this.#records.append(content.encode());
    this.#pages.push({ page, present: content.present });
  }

  addPack(pack: Omit<DirectoryPack, 'record'> & { index: PackIndex }): void {
    this.#packs.push(pack);
  }

  finish(): SealedObject {
    const packs = this.#packs.sort((a, b) => a.number - b.number);
    for (const { index } of packs) this.#records.append(index.encode());
    return this.#records.finish(encodeDirectory(this.#pages, packs));
  }
}
