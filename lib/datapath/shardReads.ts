import { MiB } from '../model/index.ts';
import {
  inOrder,
  type MapObjects,
  type MapShape,
  type PackId,
  type Page,
  packName,
  type SizedTask,
} from '../repository/index.ts';
import type { BlockSet } from './blockSet.ts';
import type { Strip } from './lanes.ts';
import type { PlannedPage } from './plannedPages.ts';
import type { ShardPages } from './shardPages.ts';

/** What a lane takes at a time. */
const STRIP_BYTES = 16 * MiB;
const PARENTS_AHEAD = { bytes: 32, tasks: 32 };
const DIGEST_BYTES = 24;

/** What the parent holds of a page: its references, and a way to a block's digest. */
interface ParentPage {
  readonly content: Page;
  /** Digest of the block in place `block`, null when it is absent. */
  digest(block: number): Buffer | null;
}

/** Begins the pages of a shard one after the other, and cuts what is to be read of them into strips, in disk order. */
export async function* stripsOf(
  planned: readonly PlannedPage[],
  shape: MapShape,
  { pages, maps, chain, signal }: { pages: ShardPages; maps: MapObjects; chain: string; signal: AbortSignal },
): AsyncGenerator<Strip> {
  const parents = inOrder(parentTasks(planned, maps, chain, signal), PARENTS_AHEAD, signal);
  for await (const { page, parent } of parents) {
    const toRead = pages.begin(page, parent?.content ?? null);
    yield* cut(page.page, toRead, Math.max(1, STRIP_BYTES / shape.blockBytes), parent);
  }
}

function* cut(page: number, toRead: BlockSet, most: number, parent: ParentPage | null): Generator<Strip> {
  let runs: [number, number][] = [];
  let blocks = 0;
  for (const run of toRead.runs(most)) {
    if (blocks + run[1] > most && blocks > 0) {
      yield strip(page, runs, parent);
      runs = [];
      blocks = 0;
    }
    runs.push(run);
    blocks += run[1];
  }
  if (blocks > 0) yield strip(page, runs, parent);
}

function strip(page: number, runs: [number, number][], parent: ParentPage | null): Strip {
  const known: number[] = [];
  const digests: Buffer[] = [];
  if (parent) {
    for (const [first, count] of runs) {
      for (let place = first; place < first + count; place++) {
        const digest = parent.digest(place);
        if (digest?.length !== DIGEST_BYTES) continue;
        known.push(place);
        digests.push(digest);
      }
    }
  }
  return {
    kind: 'strip',
    page,
    runs,
    known: Uint16Array.from(known),
    digests: new Uint8Array(Buffer.concat(digests)),
  };
}

async function* parentTasks(
  planned: readonly PlannedPage[],
  maps: MapObjects,
  chain: string,
  signal: AbortSignal,
): AsyncGenerator<SizedTask<{ page: PlannedPage; parent: ParentPage | null }>> {
  for (const page of planned)
    yield { bytes: 1, run: async () => ({ page, parent: await openParent(page, maps, chain, signal) }) };
}

/** Loads the parent's page, and the indexes of the packs whose digests will be compared. */
async function openParent(
  { parent, read, clear }: PlannedPage,
  maps: MapObjects,
  chain: string,
  signal: AbortSignal,
): Promise<ParentPage | null> {
  if (!parent) return null;
  const content = await maps.page(parent, signal);
  const needed = new Map<string, PackId>();
  for (const block of read) {
    const ref = content.get(block);
    // In both sets: damaged in the parent, and not to be used again.
    if (ref && !clear.has(block)) needed.set(packName(chain, ref.pack), ref.pack);
  }
  const indexes = new Map(
    await Promise.all(
      [...needed.values()].map(async (pack) => [pack, await maps.packIndex(pack, signal)] as const),
    ),
  );
  return {
    content,
    digest: (block) => {
      const ref = clear.has(block) ? null : content.get(block);
      return ref ? (indexes.get(ref.pack)?.digest(ref.ordinal) ?? null) : null;
    },
  };
}
