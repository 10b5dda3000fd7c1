import type { BlobStore } from './blobStore.ts';
import type { Chain } from './chain.ts';
import { mapsPrefix, packsPrefix, pointsPrefix, sequenceOf } from './names.ts';

/** A folder is listed from its beginning while it has fewer names; above that it is asked for what lies above the highest. */
const LISTED = 20_000;
const DIGITS = 8;
const AT_ONCE = 8;

/**
 * The highest number in any object name of the chain, by listing both containers; 0 for a new chain. The cost does not grow
 * with the chain: `points` has a few names a number and comes first; of a folder that is longer than `listed` names the rest
 * is asked for by the digits that a higher number would begin with, which finds nothing, in nearly all cases.
 */
export async function highestSequence({ id, repository }: Chain, listed = LISTED): Promise<number> {
  const { meta, data } = repository;
  const folders: readonly (readonly [BlobStore, string])[] = [
    [meta, pointsPrefix(id)],
    [meta, mapsPrefix(id)],
    [data, mapsPrefix(id)],
    [data, packsPrefix(id)],
  ];
  let highest = 0;
  for (const [store, folder] of folders) highest = await highestIn(store, folder, highest, listed);
  return highest;
}

async function highestIn(store: BlobStore, folder: string, known: number, listed: number): Promise<number> {
  let highest = known;
  let names = 0;
  for await (const { name } of store.list(folder)) {
    highest = Math.max(highest, sequenceOf(name) ?? 0);
    if (++names >= listed) return above(store, folder, highest);
  }
  return highest;
}

/** The highest number above `known`, or `known`. Names are in the order of their numbers, zero-padded. */
async function above(store: BlobStore, folder: string, known: number): Promise<number> {
  const prefixes = prefixesAbove(known);
  let highest = known;
  for (let at = 0; at < prefixes.length; at += AT_ONCE) {
    const found = await Promise.all(
      prefixes.slice(at, at + AT_ONCE).map(async (prefix) => {
        let most = 0;
        for await (const { name } of store.list(folder + prefix))
          most = Math.max(most, sequenceOf(name) ?? 0);
        return most;
      }),
    );
    highest = Math.max(highest, ...found);
  }
  return highest;
}

/** What the digits of every higher number begin with: 0012 -> 0013 .. 0019, 002 .. 009, 01 .. 09, 1 .. 9. */
export function prefixesAbove(known: number): string[] {
  const digits = String(known).padStart(DIGITS, '0');
  const prefixes: string[] = [];
  for (let at = digits.length - 1; at >= 0; at--)
    for (let digit = Number(digits[at]) + 1; digit <= 9; digit++) prefixes.push(digits.slice(0, at) + digit);
  return prefixes;
}
