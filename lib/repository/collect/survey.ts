import type { Chain } from '../chain.ts';
import { missingObject } from '../damage.ts';
import { mapName } from '../names.ts';
import { storeTime } from '../storeTime.ts';
import { FrozenList, listNumbers } from './frozenList.ts';
import { Marks } from './marking.ts';
import { type Decided, findRoots, type Root, type Roots, readDecided } from './roots.ts';

export interface SurveyOptions {
  /** The store's time, where asking for it (which writes a probe) is not possible. A time that is too early is safe. */
  readonly now?: Date | undefined;
  /** The highest number that the caller remembers of this chain: a lower one means that something was lost. */
  readonly head?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What is in a chain, and what of it is needed. */
export interface Survey {
  readonly chain: Chain;
  /** The store's time before anything was listed: ages are never overestimated. */
  readonly now: Date;
  readonly frozen: FrozenList;
  readonly roots: readonly Root[];
  readonly decided: ReadonlyMap<number, Decided>;
  readonly numbers: Roots['numbers'];
  readonly leases: Roots['leases'];
  readonly marks: Marks;
  /** Map objects that stay: a root reaches a page, or a pack of theirs, or the manifest of a point lists them. */
  readonly liveMaps: ReadonlySet<string>;
}

/**
 * Lists, then finds the roots, then marks, then lists the numbers again: what appeared meanwhile is not in the list, and points
 * that were committed meanwhile are marked too. Reads no pack. Throws what `findRoots` and `Marks.root` throw.
 */
export async function surveyChain(chain: Chain, options: SurveyOptions = {}): Promise<Survey> {
  const { signal } = options;
  const now = options.now ?? (await storeTime(chain.repository));
  const frozen = await FrozenList.of(chain, signal);
  const highest = Math.max(frozen.highest, options.head ?? 0);
  const { roots: found, decided: first, numbers, leases } = await findRoots(chain, { now, highest, signal });
  const decided = new Map(first);
  const roots = [...found];
  const marks = new Marks(chain);
  for (const root of roots) await marks.root(root, signal);
  for (;;) {
    const later = await listNumbers(chain, signal);
    const appeared = [...later.manifests].filter((sequence) => !decided.has(sequence));
    const vanished = [...decided.keys()].find((sequence) => !later.manifests.has(sequence));
    if (vanished !== undefined) await readDecided(chain, [vanished], signal);
    if (appeared.length === 0) break;
    for (const [sequence, one] of await readDecided(chain, appeared, signal)) {
      decided.set(sequence, one);
      if (one.disks.length === 0) continue;
      const root: Root = {
        sequence,
        why: one.state === 'point' ? 'point' : 'removed',
        disks: one.disks,
      };
      roots.push(root);
      await marks.root(root, signal);
    }
  }
  const liveMaps = await mapsThatStay(chain, frozen, marks, signal);
  for (const { maps } of decided.values()) for (const name of maps) liveMaps.add(name);
  return { chain, now, frozen, roots, decided, numbers, leases, marks, liveMaps };
}

async function mapsThatStay(
  chain: Chain,
  frozen: FrozenList,
  marks: Marks,
  signal?: AbortSignal,
): Promise<Set<string>> {
  const live = new Set(marks.mapPages.keys());
  const { data } = chain.repository;
  for (const pack of marks.blocks.packs()) {
    const name = mapName(chain.id, pack);
    if (live.has(name)) continue;
    live.add(name);
    if (frozen.maps.has(name) || marks.gone.has(name) || (await data.stat(name, { signal }))) continue;
    throw missingObject(name, data.name);
  }
  return live;
}
