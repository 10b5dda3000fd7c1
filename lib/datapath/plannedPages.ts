import {
  ByteReader,
  ByteWriter,
  decodeRefs,
  deflate,
  encodeRefs,
  inflate,
  type Ref,
} from '../repository/index.ts';
import { BlockSet } from './blockSet.ts';

/** What is to be done for one page of the block map. Nothing to read and nothing to clear: it is written anew as it is. */
export interface PlannedPage {
  readonly page: number;
  /** Blocks to read from the snapshot. */
  readonly read: BlockSet;
  /** Blocks that became absent without being read; a block that is also in `read` is damaged in the parent. */
  readonly clear: BlockSet;
  /** The parent's page: what it starts from (changed blocks), or what equal blocks are recognised by (whole read). */
  readonly parent: Ref | null;
}

/** A page that did not change and is written into the new map object, so that the one it lies in can go. */
export const rewritten = (page: number, parent: Ref, pageBlocks: number): PlannedPage => ({
  page,
  read: new BlockSet(pageBlocks),
  clear: new BlockSet(pageBlocks),
  parent,
});

export const isRewritten = ({ read, clear }: PlannedPage): boolean => read.size === 0 && clear.size === 0;

/**
 * Count; page numbers as differences (the first from -1); the `read` sets; the `clear` sets; the references; then zstd.
 */
export function encodePlannedPages(pages: readonly PlannedPage[]): Buffer {
  const writer = new ByteWriter(pages.length * 80 + 64).varint(pages.length);
  let before = -1;
  for (const { page } of pages) {
    writer.varint(page - before);
    before = page;
  }
  for (const { read } of pages) writer.bytes(read.bytes);
  for (const { clear } of pages) writer.bytes(clear.bytes);
  return deflate(writer.bytes(encodeRefs(pages.map(({ parent }) => parent))).done());
}

/** Throws on anything else than `encodePlannedPages` wrote for pages of `pageBlocks` blocks. */
export function decodePlannedPages(bytes: Buffer, pageBlocks: number): PlannedPage[] {
  const reader = new ByteReader(inflate(bytes));
  const count = reader.varint();
  if (count > 1_000_000) throw new RangeError('counts too many pages');
  let page = -1;
  const numbers = Array.from({ length: count }, () => (page += reader.varint()));
  const set = () => new BlockSet(pageBlocks, reader.bytes(pageBlocks / 8));
  const reads = numbers.map(set);
  const clears = numbers.map(set);
  const parents = decodeRefs(reader.rest(), count);
  return numbers.map((number, i) => ({
    page: number,
    read: reads[i] ?? new BlockSet(pageBlocks),
    clear: clears[i] ?? new BlockSet(pageBlocks),
    parent: parents[i] ?? null,
  }));
}
