import { HoldfastError, MiB } from '../model/index.ts';
import {
  type BlockMap,
  BlockReader,
  type ChainData,
  type DiskBlock,
  readPageTable,
} from '../repository/index.ts';
import type { Feed, LanePlaces, RestoreLane } from './lanes.ts';
import type { DiskSink } from './ports.ts';
import { UnderWay } from './underWay.ts';

/** One write to the disk. */
const MAX_WRITE = 4 * MiB;
/** Pages at a time: while the last blocks of one come in, the next has begun. */
const PAGES_AT_ONCE = 2;

/** Writes the blocks of pages to the disk: decrypted, expanded, digests checked. What is absent is never written. */
export async function runRestoreLane(setup: RestoreLane, places: LanePlaces, feed: Feed): Promise<void> {
  const { sink, staging, chain: id, keys, data } = places;
  const { signal } = feed;
  if (!sink)
    throw new HoldfastError('internal', 'A lane that restores needs a disk to write to.', { target: 'lane' });
  const map = await readPageTable({ staging, name: setup.table, chain: id, keys, signal });
  const chain: ChainData = { id, keys, blockBytes: map.blockBytes, pageBlocks: map.pageBlocks, data };
  const inFlight = { bytes: setup.readAhead / PAGES_AT_ONCE, tasks: 32 };
  const memory: Buffer[] = [];
  const reader = new BlockReader(chain, undefined, inFlight, memory);
  const writes = Math.max(1, Math.floor(setup.writes / PAGES_AT_ONCE));
  const pool: Buffer[] = [];
  let broken = false;
  const pages = async () => {
    for (let page = await feed.next(); page !== null && !broken; page = await feed.next()) {
      if (typeof page !== 'number') throw new TypeError('a page was expected');
      await restorePage(page, { reader, memory, map, sink, writes, pool, feed });
    }
  };
  const ends = await Promise.allSettled(
    Array.from({ length: PAGES_AT_ONCE }, () =>
      pages().catch((error: unknown) => {
        broken = true;
        throw error;
      }),
    ),
  );
  const failed = ends.find((end) => end.status === 'rejected');
  if (failed) throw failed.reason;
}

interface PageWork {
  readonly reader: BlockReader;
  /** Of blocks that are written. */
  readonly memory: Buffer[];
  readonly map: BlockMap;
  readonly sink: DiskSink;
  readonly writes: number;
  readonly pool: Buffer[];
  readonly feed: Feed;
}

async function restorePage(
  page: number,
  { reader, memory, map, sink, writes, pool, feed }: PageWork,
): Promise<void> {
  const underWay = new UnderWay(writes);
  let writtenBytes = 0;
  let blocks = 0;
  try {
    for await (const run of reader.read(map, page, page + 1, feed.signal)) {
      for (const { offset, parts, length } of pieces(run, map.blockBytes, map.sizeBytes)) {
        const space = pool.pop() ?? Buffer.allocUnsafeSlow(MAX_WRITE);
        let at = 0;
        for (const part of parts) {
          at += part.copy(space, at);
          memory.push(part);
        }
        const bytes = space.subarray(0, length);
        await underWay.add(
          sink.write(offset, bytes, feed.signal).then(() => {
            pool.push(space);
            feed.report({ kind: 'written', bytes: length });
          }),
        );
        writtenBytes += length;
      }
      blocks += run.length;
    }
    await underWay.done();
  } finally {
    // A write must not go on behind the back of whoever runs the next attempt.
    await underWay.settle();
  }
  feed.report({ kind: 'restored', page, writtenBytes, blocks });
}

/** Neighbouring blocks as one piece of at most 4 MiB; the disk's last block is cut at its end. */
function* pieces(
  run: readonly DiskBlock[],
  blockBytes: number,
  sizeBytes: number,
): Iterable<{ offset: number; parts: Buffer[]; length: number }> {
  const inOrder = run.toSorted((a, b) => a.block - b.block);
  for (let i = 0; i < inOrder.length; ) {
    const first = inOrder[i]?.block ?? 0;
    let count = 1;
    while (inOrder[i + count]?.block === first + count && (count + 1) * blockBytes <= MAX_WRITE) count++;
    const parts = inOrder.slice(i, i + count).map(({ bytes }) => bytes);
    const offset = first * blockBytes;
    yield { offset, parts, length: Math.min(count * blockBytes, sizeBytes - offset) };
    i += count;
  }
}
