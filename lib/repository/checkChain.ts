import { type Chain, openChain } from './chain.ts';
import { checkPackContent, checkRecords } from './checkContent.ts';
import type { CheckDepth, CheckReport } from './checkReport.ts';
import { DamageOfPoint, LiveObjects, type WalkContext, walkPoint } from './checkWalk.ts';
import { readClaim } from './claim.ts';
import { corruptObject, missingObject } from './damage.ts';
import type { PointManifest } from './manifest.ts';
import { MapObjects } from './mapObjects.ts';
import {
  chainName,
  chainPrefix,
  manifestName,
  mapName,
  type PackId,
  parsePointName,
  pointsPrefix,
  sequenceOf,
} from './names.ts';
import { chainData } from './openPoint.ts';
import { readManifest } from './points.ts';
import type { Repository } from './repository.ts';
import { Trees } from './tree.ts';

/** Checks one chain: its document, claims, manifests, everything that its points reach, and lists what they do not. */
export async function checkChain(
  repository: Repository,
  id: string,
  depth: CheckDepth,
  report: CheckReport,
  signal?: AbortSignal,
): Promise<void> {
  const numbers = await listNumbers(repository, id, signal);
  const names = [...numbers.decided].map((sequence) => `${id}/${sequence}`);
  const chain = await report.guard(() => openChain(repository, id), names);
  if (!chain) return;
  for (const sequence of numbers.claimed) await report.guard(() => readClaim(chain, sequence));
  const context: WalkContext = {
    chain,
    trees: new Trees(chain),
    maps: new MapObjects(chainData(chain)),
    report,
    signal,
  };
  const live = new LiveObjects(id);
  const before = report.damaged;
  for await (const manifest of points(chain, numbers.decided, report)) {
    report.points++;
    await checkMaps(context, manifest);
    await walkPoint(context, manifest, live);
  }
  const sizes = await listPacks(chain, live, numbers.decided, report, signal);
  for (const [name, { id: pack, highest }] of live.packs) {
    report.packs++;
    await report.guard(() => checkPack(context, { name, pack, highest, size: sizes.get(name), depth }));
  }
  if (depth === 'content') {
    for (const name of live.trees)
      await report.guard(() => checkRecords(repository.meta, repository.keys.meta, 'tree', id, name, signal));
    for (const name of live.maps)
      await report.guard(() => checkRecords(repository.data, chain.keys.seal, 'map', id, name, signal));
  }
  if (report.damaged === before) return;
  for await (const manifest of points(chain, numbers.decided, report)) {
    await walkPoint(context, manifest, new DamageOfPoint(report, id, `${id}/${manifest.sequence}`));
  }
}

interface Numbers {
  readonly claimed: readonly number[];
  readonly decided: ReadonlySet<number>;
}

async function listNumbers({ meta }: Repository, chain: string, signal?: AbortSignal): Promise<Numbers> {
  const claimed: number[] = [];
  const decided = new Set<number>();
  for await (const { name } of meta.list(pointsPrefix(chain), { signal })) {
    const point = parsePointName(name);
    if (point?.kind === 'session') claimed.push(point.sequence);
    if (point?.kind === 'manifest') decided.add(point.sequence);
  }
  return { claimed, decided };
}

async function* points(
  chain: Chain,
  sequences: Iterable<number>,
  report: CheckReport,
): AsyncIterable<PointManifest> {
  for (const sequence of sequences) {
    const stored = await report.guard(() => readManifest(chain, sequence), [`${chain.id}/${sequence}`]);
    if (stored?.manifest.state === 'point') yield stored.manifest;
  }
}

/** The map objects that the manifest lists are the ones that its session wrote. */
async function checkMaps(
  { chain, maps, report, signal }: WalkContext,
  { sequence, disks }: PointManifest,
): Promise<void> {
  for (const { number: disk, maps: refs } of disks) {
    for (const { shard, attempt, length, tag } of refs) {
      const id = { sequence, disk, shard, attempt };
      await report.guard(async () => {
        const directory = await maps.directory(id, signal);
        if (directory.tag !== tag || directory.length !== length) {
          throw corruptObject(
            mapName(chain.id, id),
            `it is not the one that ${manifestName(chain.id, sequence)} lists`,
          );
        }
      });
    }
  }
}

interface PackToCheck {
  readonly name: string;
  readonly pack: PackId;
  readonly highest: number;
  readonly size: number | undefined;
  readonly depth: CheckDepth;
}

async function checkPack(
  { chain, maps, report, signal }: WalkContext,
  { name, pack, highest, size, depth }: PackToCheck,
): Promise<void> {
  if (size === undefined) throw missingObject(name, chain.repository.data.name);
  const directory = await maps.directory(pack, signal);
  const entry = directory.packs.find(({ number }) => number === pack.number);
  if (!entry) throw corruptObject(mapName(chain.id, pack), `it does not list the pack ${name}`);
  if (entry.length !== size) throw corruptObject(name, `it has ${size} bytes instead of ${entry.length}`);
  const index = await maps.packIndex(pack, signal);
  if (highest >= index.blocks)
    throw corruptObject(name, `it has ${index.blocks} blocks, and block ${highest} is referred to`);
  if (depth === 'content') report.blocks += await checkPackContent(chain, name, index, signal);
}

/** Sizes of the live packs, by listing; everything that is not live is garbage. */
async function listPacks(
  chain: Chain,
  live: LiveObjects,
  decided: ReadonlySet<number>,
  report: CheckReport,
  signal?: AbortSignal,
): Promise<Map<string, number>> {
  const sizes = new Map<string, number>();
  const { meta, data } = chain.repository;
  for (const store of [meta, data]) {
    for await (const { name, size } of store.list(chainPrefix(chain.id), { signal })) {
      if (live.packs.has(name)) sizes.set(name, size);
      else if (
        !live.maps.has(name) &&
        !live.trees.has(name) &&
        name !== chainName(chain.id) &&
        !parsePointName(name)
      ) {
        const sequence = sequenceOf(name);
        if (sequence === null) report.unneeded(name, 'not an object of a chain');
        else
          report.unneeded(
            name,
            decided.has(sequence) ? 'no restore point needs it' : 'belongs to a number that is not decided',
          );
      }
    }
  }
  return sizes;
}
