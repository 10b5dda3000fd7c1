import {
  type CatalogWriter,
  type ChainEndFact,
  type ChainHead,
  checkRepository,
  type DiskDamage,
  openRepository,
  readPointState,
  rescan,
  type VerifyResult,
} from '../../lib/repository/index.ts';
import { packOf, type World } from './modelWorld.ts';

const json = (value: unknown): string => JSON.stringify(value);

/** Throws, with both sides, unless they are the same JSON. */
export function same(what: string, got: unknown, wanted: unknown): void {
  if (json(got) !== json(wanted)) throw new Error(`${what}: ${json(got)} instead of ${json(wanted)}`);
}

const ascending = (numbers: Iterable<number>): number[] => [...numbers].sort((a, b) => a - b);

/** After each step: the numbers in the store are those of the model, and each retained point has its objects. */
export async function checkNumbers({ points, voids, undecided, stores, hurt }: World): Promise<void> {
  const manifests: number[] = [];
  const claims = new Set<number>();
  const trees = new Set<string>();
  for await (const { name } of stores.meta.list('chains/')) {
    const number = /\/points\/(\d+)\.(manifest|session)$/.exec(name);
    if (number?.[2] === 'manifest') manifests.push(Number(number[1]));
    else if (number) claims.add(Number(number[1]));
    else if (name.endsWith('.tree')) trees.add(name);
  }
  same('decided numbers', ascending(manifests), ascending([...points.keys(), ...voids.keys()]));
  const lost = [...undecided].filter((sequence) => !claims.has(sequence));
  same('undecided numbers without a claim', lost, []);
  const packs = new Set<string>();
  for await (const { name } of stores.data.list('chains/')) packs.add(packOf(name));
  for (const [sequence, { places, manifest }] of points) {
    for (const { pack } of places.values()) {
      if (!packs.has(pack) && !hurt.has(pack))
        throw new Error(`the pack ${pack} of point ${sequence} is gone`);
    }
    for (const { number, tree } of manifest.disks) {
      const name = `${String(tree.sequence).padStart(8, '0')}.${String(number).padStart(4, '0')}-${String(tree.attempt).padStart(3, '0')}.tree`;
      if (![...trees].some((one) => one.endsWith(name)))
        throw new Error(`the tree ${name} of point ${sequence} is gone`);
    }
  }
}

/** Every retained point, byte for byte. What they have lost, by number. */
export async function readAll(world: World): Promise<Map<number, Set<string>>> {
  const lost = new Map<number, Set<string>>();
  for (const [sequence, point] of world.points) lost.set(sequence, await world.read(point));
  world.count('points read', world.points.size);
  return lost;
}

/** Every reader under a lease. */
export async function readReaders(world: World): Promise<void> {
  for (const { point } of world.readers) await world.read(point);
  world.count('leased reads', world.readers.length);
}

/** The checker finds nothing but injected damage. */
export async function checkContent(world: World) {
  const { meta, data } = world.stores;
  const result = await checkRepository({ meta, data, unlock: world.unlock, depth: 'content' });
  const others = result.findings.filter(({ object }) => !world.hurt.has(packOf(object)));
  same('findings of the checker', others, []);
  same('points that the checker saw', result.points, world.points.size);
  return result;
}

const blocksOf = (damage: readonly DiskDamage[]): string[] =>
  damage.flatMap(({ disk, ranges }) =>
    ranges.flatMap(([first, count]) => Array.from({ length: count }, (_, i) => `${disk}/${first + i}`)),
  );

/** After a verification of everything: the states say of each point exactly which blocks cannot be read. */
export async function checkMarks(world: World, { damaged }: Pick<VerifyResult, 'damaged'>): Promise<void> {
  const lost = await readAll(world);
  for (const [sequence, blocks] of lost) {
    const damage = (await readPointState(world.chain, sequence))?.damage ?? [];
    same(`blocks marked as lost of point ${sequence}`, blocksOf(damage).sort(), [...blocks].sort());
    same(
      `their number`,
      damage.reduce((sum, one) => sum + one.blocks, 0),
      blocks.size,
    );
    world.count('blocks found lost', blocks.size);
  }
  const wanted = ascending([...lost].filter(([, { size }]) => size > 0).map(([sequence]) => sequence));
  same('points reported as damaged', ascending(damaged.map(({ sequence }) => sequence)), wanted);
}

/** A rescan into an empty catalog comes to the model, and to nothing older than what is remembered. */
export async function checkRescan(world: World): Promise<void> {
  const points: [number, string][] = [];
  const voids: [number, string][] = [];
  const ends: ChainEndFact[] = [];
  const machines: (readonly string[])[] = [];
  const nothing = () => Promise.resolve();
  const writer: CatalogWriter = {
    repository: nothing,
    chain: nothing,
    point: async ({ point, manifest }) => void points.push([point.sequence, json(manifest)]),
    removed: async ({ sequence, reason }) => void voids.push([sequence, reason]),
    chainEnd: async (end) => void ends.push(end),
    machine: async ({ chains }) => void machines.push(chains),
    lost: nothing,
  };
  const { stores, unlock, remembered } = world;
  const ownerCounter = world.terms.get(world.owner) ?? 0;
  const repository = await openRepository({ meta: stores.meta, data: stores.data, unlock });
  const result = await rescan(repository, { writer, remembered, ownerCounter });
  same('a rescan', [result.findings, result.rolledBack, result.complete], [[], [], true]);
  const wanted = [...world.points].map(([sequence, { manifest }]) => [sequence, json(manifest)] as const);
  same(
    'rescanned points',
    points,
    wanted.sort(([a], [b]) => a - b),
  );
  const removed = [...world.voids].sort(([a], [b]) => a - b);
  same('rescanned voids', voids, removed);
  same('chains of the machine', machines, [[world.chain.id]]);
  const [end] = ends;
  const head = Math.max(0, ...world.points.keys(), ...world.voids.keys());
  same(
    'the end of the chain',
    [end?.newest, end?.points, end?.open, end?.damaged, end?.head?.sequence ?? 0],
    [world.newest, ascending(world.points.keys()), ascending(world.undecided), [], head],
  );
  const newest = world.points.get(world.newest ?? 0);
  const bases = [...(newest?.disks ?? [])].map(([id, { id: snapshotId }]) => `${id} ${snapshotId}`);
  const got = Object.entries(end?.bases ?? {}).map(([id, { snapshotId }]) => `${id} ${snapshotId}`);
  same('bases of the next backup', got.sort(), bases.sort());
  const chain = world.chain.id;
  const known: ChainHead | null = end?.head ?? null;
  world.remembered = [
    { chain, head: known, removed: removed.filter(([, why]) => why === 'removed').map(([one]) => one) },
  ];
}
