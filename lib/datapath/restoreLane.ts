import { HoldfastError } from '../model/index.ts';
import {
  type BlockMap,
  BlockReader,
  type ChainData,
  MapObjects,
  pageRefs,
  readPageTable,
} from '../repository/index.ts';
import type { Feed, LanePlaces, RestoreLane } from './lanes.ts';
import type { DiskSink } from './ports.ts';
import { UnderWay } from './underWay.ts';
import { type DiskWrite, WriteRegions } from './writeRegions.ts';

/** Pages at a time: while the last blocks of one come in, the next has begun. */
const PAGES_AT_ONCE = 2;
/** Stretches of a page that wait for the rest of their blocks: a run of blocks that is read at once covers three at most where nothing is
 * scattered. */
const REGIONS_BEGUN = 4;

/** Writes the blocks of pages to the disk: decrypted, expanded, digests checked. What is absent is never written. */
export async function runRestoreLane(setup: RestoreLane, places: LanePlaces, feed: Feed): Promise<void> {
  const { sink, staging, chain: id, keys, data } = places;
  const { signal } = feed;
  if (!sink)
    throw new HoldfastError('internal', 'A lane that restores needs a disk to write to.', { target: 'lane' });
  const map = await readPageTable({ staging, name: setup.table, chain: id, keys, signal });
  const chain: ChainData = { id, keys, blockBytes: map.blockBytes, pageBlocks: map.pageBlocks, data };
  const inFlight = { bytes: setup.readAhead / PAGES_AT_ONCE, tasks: 32 };
  const maps = new MapObjects(chain);
  const reader = new BlockReader(chain, maps, inFlight);
  const writes = Math.max(1, Math.floor(setup.writes / PAGES_AT_ONCE));
  const pool: Buffer[] = [];
  let broken = false;
  const pages = async () => {
    for (let page = await feed.next(); page !== null && !broken; page = await feed.next()) {
      if (typeof page !== 'number') throw new TypeError('a page was expected');
      await restorePage(page, { reader, maps, map, sink, writes, pool, feed });
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
  readonly maps: MapObjects;
  readonly map: BlockMap;
  readonly sink: DiskSink;
  readonly writes: number;
  readonly pool: Buffer[];
  readonly feed: Feed;
}

async function restorePage(
  page: number,
  { reader, maps, map, sink, writes, pool, feed }: PageWork,
): Promise<void> {
  const underWay = new UnderWay(writes);
  let writtenBytes = 0;
  let blocks = 0;
  const write = async ({ offset, bytes, done }: DiskWrite) => {
    await sink.write(offset, bytes, feed.signal);
    done();
    feed.report({ kind: 'written', bytes: bytes.length });
  };
  try {
    for await (const { ref } of pageRefs(map, page, page + 1, feed.signal)) {
      const content = await maps.page(ref, feed.signal);
      const regions = new WriteRegions(map, page, content, { most: REGIONS_BEGUN, pool });
      const room = (block: number) => regions.room(block);
      for await (const run of reader.readPage(page, content, room, feed.signal)) {
        for (const block of run) {
          for (const ready of regions.take(block)) {
            writtenBytes += ready.bytes.length;
            await underWay.add(write(ready));
          }
        }
        blocks += run.length;
      }
    }
    await underWay.done();
  } finally {
    // A write must not go on behind the back of whoever runs the next attempt.
    await underWay.settle();
  }
  feed.report({ kind: 'restored', page, writtenBytes, blocks });
}
