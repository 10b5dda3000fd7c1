import { MiB } from '../model/index.ts';
import {
  blocksOf,
  inOrder,
  type MapObjects,
  type MapShape,
  type PackId,
  type Page,
  packName,
  type SizedTask,
} from '../repository/index.ts';
import type { PlannedPage } from './plannedPages.ts';
import type { DiskSource } from './ports.ts';
import { padTo, readExactly } from './sourceBlocks.ts';

/** Neighbouring blocks are read in one request of at most so many bytes. */
const MAX_READ = 4 * MiB;
const IN_FLIGHT = { bytes: 32 * MiB, tasks: 48 };

/** What the parent holds of a page: its references, and a way to a block's digest. */
export interface ParentPage {
  readonly content: Page;
  /** Digest of the block in place `block`, null when it is absent. */
  digest(block: number): Buffer | null;
}

/** What arrives from the disk, in disk order: the begin of a page, then the blocks that were read of it. */
export type ShardRead =
  | { readonly kind: 'page'; readonly planned: PlannedPage; readonly parent: ParentPage | null }
  /** `bytes`: whole blocks from place `first` of the page; the disk's last block is padded. `read`: bytes really read. */
  | { readonly kind: 'blocks'; readonly first: number; readonly bytes: Buffer; readonly read: number };

/** Reads a shard's blocks, several requests ahead, in disk order, with bounded memory. */
export function readShard(
  pages: readonly PlannedPage[],
  shape: MapShape,
  input: { source: DiskSource; maps: MapObjects; chain: string; signal: AbortSignal },
): AsyncGenerator<ShardRead> {
  return inOrder(tasks(pages, shape, input), IN_FLIGHT, input.signal);
}

async function* tasks(
  pages: readonly PlannedPage[],
  shape: MapShape,
  {
    source,
    maps,
    chain,
    signal,
  }: { source: DiskSource; maps: MapObjects; chain: string; signal: AbortSignal },
): AsyncGenerator<SizedTask<ShardRead>> {
  const { blockBytes, pageBlocks, sizeBytes } = shape;
  for (const planned of pages) {
    yield {
      bytes: 0,
      run: async () => ({ kind: 'page', planned, parent: await openParent(planned, maps, chain, signal) }),
    };
    for (const [first, count] of planned.read.runs(Math.max(1, MAX_READ / blockBytes))) {
      const block = planned.page * pageBlocks + first;
      if (block + count > blocksOf(shape)) throw new RangeError('the plan reads past the end of the disk');
      const offset = block * blockBytes;
      const length = Math.min(count * blockBytes, sizeBytes - offset);
      yield {
        bytes: count * blockBytes,
        run: async () => {
          const bytes = padTo(await readExactly(source, offset, length, signal), count * blockBytes);
          return { kind: 'blocks', first, bytes, read: length };
        },
      };
    }
  }
}

/** Loads the parent's page, and the indexes of the packs whose digests will be compared. */
async function openParent(
  { parent, read }: PlannedPage,
  maps: MapObjects,
  chain: string,
  signal: AbortSignal,
): Promise<ParentPage | null> {
  if (!parent) return null;
  const content = await maps.page(parent, signal);
  const needed = new Map<string, PackId>();
  for (const block of read) {
    const ref = content.get(block);
    if (ref) needed.set(packName(chain, ref.pack), ref.pack);
  }
  const indexes = new Map(
    await Promise.all(
      [...needed.values()].map(async (pack) => [pack, await maps.packIndex(pack, signal)] as const),
    ),
  );
  return {
    content,
    digest: (block) => {
      const ref = content.get(block);
      return ref ? (indexes.get(ref.pack)?.digest(ref.ordinal) ?? null) : null;
    },
  };
}
