import { HoldfastError, isHoldfastError } from '../model/index.ts';
import type { BlobStore } from './blobStore.ts';
import { type BlockMap, blocksOf, EMPTY_NODE, type MapShape, nodesOf } from './blockMap.ts';
import { ByteReader, ByteWriter } from './byteCodec.ts';
import { NODE_PAGES } from './chain.ts';
import { createOnce } from './createOnce.ts';
import { decoding } from './damage.ts';
import type { ChainKeys } from './keys.ts';
import { Recent } from './recent.ts';
import { RecordReader, RecordWriter } from './recordObject.ts';
import { decodeRefs, encodeRefs, type Ref } from './refs.ts';
import { KIND } from './sealedObject.ts';
import { type BlockRun, RunList } from './verify/blockRuns.ts';

/** Where a page table lies: a staging container, the object's name there, and the chain whose keys seal it. */
export interface PageTableAt {
  readonly staging: BlobStore;
  readonly name: string;
  readonly chain: string;
  readonly keys: ChainKeys;
  readonly signal?: AbortSignal | undefined;
}

export interface PageTableDamage {
  /** Runs of blocks that are known to be damaged; they become the table's `damaged`. */
  readonly damaged?: readonly BlockRun[] | undefined;
  /** Nodes that cannot be read: refuse (the default), or leave them out, with all of their blocks in `damaged`. */
  readonly unreadable?: 'refuse' | 'leaveOut' | undefined;
}

const NODES_KEPT = 64;

/**
 * Writes the references of all pages of a disk into a staging object, so that a worker, which cannot reach the meta
 * container, can plan, move and restore. Node by node: 3 MB for 32 TiB. May be called again: a table of this name that
 * exists is taken to be the same one's (name it after the session and the disk).
 */
export async function writePageTable(
  map: BlockMap,
  at: PageTableAt,
  { damaged = map.damaged ?? [], unreadable = 'refuse' }: PageTableDamage = {},
): Promise<void> {
  const { staging, name, chain, keys, signal } = at;
  const writer = new RecordWriter(keys.seal, { kind: KIND.pageTable, chain, name });
  const runs: BlockRun[] = [...damaged];
  const nodeBlocks = NODE_PAGES * map.pageBlocks;
  for (let index = 0; index < nodesOf(map); index++) {
    const refs = await map.node(index, signal).catch((error: unknown) => {
      const lost = isHoldfastError(error, 'corruptObject') || isHoldfastError(error, 'missingObject');
      if (!lost || unreadable === 'refuse') throw error;
      runs.push([index * nodeBlocks, Math.min(nodeBlocks, blocksOf(map) - index * nodeBlocks)]);
      return EMPTY_NODE;
    });
    writer.append(refs.some(Boolean) ? encodeRefs(refs) : Buffer.alloc(0));
  }
  const payload = new ByteWriter(32)
    .varint(map.sizeBytes)
    .varint(map.blockBytes)
    .varint(map.pageBlocks)
    .varint(map.present);
  writeRuns(payload, runs);
  const { bytes } = writer.finish(payload.done());
  if ((await createOnce(staging, name, bytes, signal)) === 'created') return;
  const there = await readPageTable(at);
  if (
    there.sizeBytes !== map.sizeBytes ||
    there.present !== map.present ||
    there.blockBytes !== map.blockBytes
  ) {
    throw new HoldfastError(
      'alreadyExists',
      `The staging object ${name} exists and is the table of another disk.`,
      { target: name },
    );
  }
}

/** Opens a page table as a block map; nodes are fetched as they are asked for. */
export async function readPageTable({ staging, name, chain, keys, signal }: PageTableAt): Promise<BlockMap> {
  const reader = await RecordReader.open(
    staging,
    keys.seal,
    { kind: KIND.pageTable, chain, name },
    { signal },
  );
  const { present, damaged, ...shape } = decoding(name, 'its index', () => {
    const bytes = new ByteReader(reader.payload);
    const read: MapShape & { present: number; damaged: readonly BlockRun[] } = {
      sizeBytes: bytes.varint(),
      blockBytes: bytes.varint(),
      pageBlocks: bytes.varint(),
      present: bytes.varint(),
      damaged: readRuns(bytes),
    };
    bytes.end();
    if (nodesOf(read) !== reader.records)
      throw new RangeError('has another number of nodes than its disk needs');
    return read;
  });
  const nodes = new Recent<readonly (Ref | null)[]>(NODES_KEPT, () => 1);
  return {
    ...shape,
    present,
    damaged,
    node: (index, nodeSignal) =>
      nodes.get(String(index), async () => {
        const bytes = await reader.record(index, nodeSignal);
        if (bytes.length === 0) return EMPTY_NODE;
        return decoding(name, `the node in its record ${index}`, () => decodeRefs(bytes, NODE_PAGES));
      }),
  };
}

/** Count; then for each run the gap to the end of the one before, and its blocks. */
function writeRuns(writer: ByteWriter, runs: readonly BlockRun[]): void {
  const joined = new RunList();
  for (const [first, count] of runs.toSorted((a, b) => a[0] - b[0])) joined.add(first, count);
  writer.varint(joined.runs.length);
  let end = 0;
  for (const [first, count] of joined.runs) {
    writer.varint(first - end).varint(count);
    end = first + count;
  }
}

function readRuns(reader: ByteReader): BlockRun[] {
  let end = 0;
  const runs: BlockRun[] = [];
  for (let left = reader.varint(); left > 0; left--) {
    const first = end + reader.varint();
    end = first + reader.varint();
    runs.push([first, end - first]);
  }
  return runs;
}
