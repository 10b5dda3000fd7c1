import type { Chain } from '../chain.ts';
import { readClaim } from '../claim.ts';
import { corruptObject, missingObject } from '../damage.ts';
import { inOrder, type SizedTask } from '../inOrder.ts';
import type { PointManifest, TreeRef } from '../manifest.ts';
import { manifestName, mapName } from '../names.ts';
import { readManifest, type StoredManifest } from '../points.ts';
import { listNumbers, type Numbers } from './frozenList.ts';
import { type Leases, listLeases } from './lease.ts';

/** For so long a removed point's blocks stay, for a reader that could not say that it reads: by the store's clock. */
export const REMOVED_KEPT_MS = 24 * 60 * 60 * 1000;

export interface RootDisk {
  readonly tree: TreeRef;
  readonly sizeBytes: number;
}

/** Something whose blocks stay. */
export interface Root {
  readonly sequence: number;
  /** `point`: a restore point. `removed`: one that was removed in the last 24 hours. `parent`: of an open claim. `lease`: being read. */
  readonly why: 'point' | 'removed' | 'parent' | 'lease';
  readonly disks: readonly RootDisk[];
}

/** A number that is decided. */
export interface Decided {
  readonly state: 'point' | 'void';
  readonly decidedAt: Date;
  readonly disks: readonly RootDisk[];
  /** Names of the map objects that a point's manifest lists. One whose pages all became empty is reached by nothing else. */
  readonly maps: readonly string[];
}

export interface Roots {
  readonly roots: readonly Root[];
  readonly decided: ReadonlyMap<number, Decided>;
  readonly numbers: Numbers;
  readonly leases: Leases;
}

const AT_ONCE = { bytes: 16 * 1024 * 1024, tasks: 16 };

/**
 * The roots of collection at `now` (the store's clock, read before anything else was): every point; every void of a removed
 * point younger than 24 hours; the parents that open claims name; what live leases name. Throws, with the object as target,
 * when a manifest is missing or anything of this is not authentic: what it keeps alive cannot be known.
 */
export async function findRoots(
  chain: Chain,
  { now, highest, signal }: { now: Date; highest: number; signal?: AbortSignal | undefined },
): Promise<Roots> {
  const leases = await listLeases(chain.repository, now, signal);
  const numbers = await listNumbers(chain, signal);
  requireEveryNumber(chain, numbers, highest);
  const decided = await readDecided(chain, [...numbers.manifests], signal);
  const roots: Root[] = [];
  for (const [sequence, { state, decidedAt, disks }] of decided) {
    if (state === 'point') roots.push({ sequence, why: 'point', disks });
    else if (disks.length > 0 && now.getTime() - decidedAt.getTime() < REMOVED_KEPT_MS)
      roots.push({ sequence, why: 'removed', disks });
  }
  const named = (sequence: number, why: Root['why']) => {
    const known = decided.get(sequence);
    const kept = roots.some((root) => root.sequence === sequence);
    if (known && !kept && known.disks.length > 0) roots.push({ sequence, why, disks: known.disks });
  };
  for (const sequence of numbers.claims.keys()) {
    if (decided.has(sequence)) continue;
    const claim = await readClaim(chain, sequence);
    if (claim?.parent) named(claim.parent, 'parent');
  }
  for (const lease of leases.live) {
    if (lease.chain === chain.id && lease.sequence !== null) named(lease.sequence, 'lease');
  }
  return { roots, decided, numbers, leases };
}

/** Reads what decides the numbers. One manifest at a time stays in memory; of each, the roots. */
export async function readDecided(
  chain: Chain,
  sequences: readonly number[],
  signal?: AbortSignal,
): Promise<Map<number, Decided>> {
  const decided = new Map<number, Decided>();
  for await (const { sequence, stored } of inOrder(manifestTasks(chain, sequences), AT_ONCE, signal)) {
    const name = manifestName(chain.id, sequence);
    if (!stored) throw missingObject(name, chain.repository.meta.name);
    const { manifest, lastModified } = stored;
    if (manifest.sequence !== sequence || manifest.chain !== chain.id)
      throw corruptObject(name, 'it is of another number');
    const disks = manifest.disks.map(({ tree, sizeBytes }) => ({ tree, sizeBytes }));
    const maps = manifest.state === 'point' ? listedMaps(manifest) : [];
    decided.set(sequence, { state: manifest.state, decidedAt: lastModified, disks, maps });
  }
  return decided;
}

const listedMaps = ({ chain, sequence, disks }: PointManifest): string[] =>
  disks.flatMap(({ number: disk, maps }) =>
    maps.map(({ shard, attempt }) => mapName(chain, { sequence, disk, shard, attempt })),
  );

async function* manifestTasks(
  chain: Chain,
  sequences: readonly number[],
): AsyncGenerator<SizedTask<{ sequence: number; stored: StoredManifest | null }>> {
  for (const sequence of sequences) {
    yield { bytes: 64 * 1024, run: async () => ({ sequence, stored: await readManifest(chain, sequence) }) };
  }
}

/**
 * Numbers are given one after the other, each by its claim; a claim goes only after its manifest came, and manifests never go.
 * So a number with neither is one whose manifest was lost.
 */
function requireEveryNumber(chain: Chain, { manifests, claims }: Numbers, highestNamed: number): void {
  const highest = Math.max(highestNamed, ...manifests, ...claims.keys());
  for (let sequence = 1; sequence <= highest; sequence++) {
    if (!manifests.has(sequence) && !claims.has(sequence))
      throw missingObject(manifestName(chain.id, sequence), chain.repository.meta.name);
  }
}
