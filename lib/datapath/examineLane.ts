import { toFailure } from '../model/index.ts';
import { examinePackOf, PackIndex, packSpace } from '../repository/index.ts';
import type { Feed, LanePlaces, PackToExamine } from './lanes.ts';

/** While one pack is looked into, the next is read. */
const PACKS_AT_ONCE = 2;

/** Looks into packs: every block is decrypted and expanded, and its digest compared. */
export async function runExamineLane(places: LanePlaces, feed: Feed): Promise<void> {
  const one = async () => {
    const space = packSpace(places.blockBytes);
    for (let work = await feed.next(); work !== null; work = await feed.next()) {
      if (typeof work === 'number' || work.kind !== 'pack') throw new TypeError('a pack was expected');
      await examine(work, places, feed, space);
    }
  };
  await Promise.all(Array.from({ length: PACKS_AT_ONCE }, one));
}

async function examine(
  { pack, generation, name, index }: PackToExamine,
  { chain: id, keys, blockBytes, data }: LanePlaces,
  feed: Feed,
  space: Buffer,
): Promise<void> {
  const at = { pack, generation, name, index: PackIndex.decode(Buffer.from(index)) };
  const { problem, ...exam } = await examinePackOf({ id, keys, blockBytes, data }, at, feed.signal, space);
  feed.report({ kind: 'examined', ...exam, problem: problem && toFailure(problem) });
}
