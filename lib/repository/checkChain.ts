import type { HoldfastError } from '../model/index.ts';
import { type Chain, chainData, openChain } from './chain.ts';
import { checkRecords, type OpenExaminer, type PackExaminer } from './checkContent.ts';
import type { CheckDepth, CheckReport } from './checkReport.ts';
import { DamageOfPoint, LiveObjects, type WalkContext, walkPoint } from './checkWalk.ts';
import { readClaim } from './claim.ts';
import type { BlockBits } from './collect/bitColumns.ts';
import { FrozenList, type ListedPack } from './collect/frozenList.ts';
import { corruptObject, missingObject } from './damage.ts';
import { inOrder, type SizedTask } from './inOrder.ts';
import type { PointManifest } from './manifest.ts';
import { MapObjects } from './mapObjects.ts';
import {
  chainName,
  chainPrefix,
  manifestName,
  mapName,
  type PackId,
  packName,
  parsePackName,
  parsePointName,
  pointsPrefix,
  sequenceOf,
  verifiedName,
} from './names.ts';
import { holds, PackGenerations } from './packGenerations.ts';
import { readManifest } from './points.ts';
import type { Repository } from './repository.ts';
import { Trees } from './tree.ts';
import { readPointState } from './verify/pointState.ts';
import { readVerified } from './verify/record.ts';

/** Packs whose presence is asked about at once. */
const PACKS_AT_ONCE = 8;

/** Checks one chain: its document, claims, manifests, states, everything that its points reach, and lists what they do not. */
export async function checkChain(
  repository: Repository,
  id: string,
  { depth, examiner: openExaminer }: { depth: CheckDepth; examiner: OpenExaminer },
  report: CheckReport,
  signal?: AbortSignal,
): Promise<void> {
  const numbers = await listNumbers(repository, id, signal);
  const names = [...numbers.decided].map((sequence) => `${id}/${sequence}`);
  const chain = await report.guard(() => openChain(repository, id), names);
  if (!chain) return;
  for (const sequence of numbers.claimed) await report.guard(() => readClaim(chain, sequence));
  for (const sequence of numbers.states)
    await report.guard(() => readPointState(chain, sequence, { signal }), [`${id}/${sequence}`]);
  await report.guard(() => readVerified(chain, signal));
  const maps = new MapObjects(chainData(chain));
  const context: WalkContext = { chain, trees: new Trees(chain), maps, report, signal };
  const live = new LiveObjects(id);
  const before = report.damaged;
  for await (const manifest of points(chain, numbers.decided, report)) {
    report.points++;
    await checkMaps(context, manifest, live);
    await walkPoint(context, manifest, live);
  }
  const listed = await FrozenList.of(chain, signal);
  await listUnneeded(chain, live, { listed, decided: numbers.decided }, report, signal);
  await checkPacks(context, live, listed, depth === 'content' ? openExaminer(chain) : null);
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
  readonly states: readonly number[];
}

async function listNumbers({ meta }: Repository, chain: string, signal?: AbortSignal): Promise<Numbers> {
  const claimed: number[] = [];
  const states: number[] = [];
  const decided = new Set<number>();
  for await (const { name } of meta.list(pointsPrefix(chain), { signal })) {
    const point = parsePointName(name);
    if (point?.kind === 'session') claimed.push(point.sequence);
    if (point?.kind === 'manifest') decided.add(point.sequence);
    if (point?.kind === 'state') states.push(point.sequence);
  }
  return { claimed, decided, states };
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
  live: LiveObjects,
): Promise<void> {
  for (const { number: disk, maps: refs } of disks) {
    for (const { shard, attempt, length, tag } of refs) {
      const id = { sequence, disk, shard, attempt };
      live.map(mapName(chain.id, id));
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

interface PackCheck {
  readonly context: WalkContext;
  readonly generations: PackGenerations;
  /** Null: blocks are not looked at. */
  readonly examiner: PackExaminer | null;
}

/** Every pack that points need, several at a time. */
async function checkPacks(
  context: WalkContext,
  live: LiveObjects,
  listed: FrozenList,
  examiner: PackExaminer | null,
): Promise<void> {
  const { chain, maps, report, signal } = context;
  const check = { context, generations: new PackGenerations(chainData(chain), maps), examiner };
  async function* tasks(): AsyncGenerator<SizedTask<unknown>> {
    for (const pack of live.blocks.packs()) {
      report.packs++;
      const run = () => report.guard(() => checkPack(check, pack, listed.pack(pack), live.blocks));
      yield { bytes: 1, run };
    }
  }
  const atOnce = examiner?.atOnce ?? PACKS_AT_ONCE;
  try {
    for await (const _ of inOrder(tasks(), { bytes: atOnce, tasks: atOnce }, signal));
  } finally {
    await examiner?.close();
  }
}

/**
 * A pack that points need is there, in its length, and holds their blocks: as its shard wrote it, or in a later generation.
 * What a later generation holds makes up for damage of the first.
 */
async function checkPack(
  { context, generations, examiner }: PackCheck,
  pack: PackId,
  listed: ListedPack | null,
  needed: BlockBits,
): Promise<void> {
  const { chain, maps, report, signal } = context;
  const { data } = chain.repository;
  const name = packName(chain.id, pack);
  const directory = await maps.directory(pack, signal);
  const entry = directory.packs.find(({ number }) => number === pack.number);
  if (!entry) throw corruptObject(mapName(chain.id, pack), `it does not list the pack ${name}`);
  const first = await generations.open(pack, 0, signal);
  const ordinals = ordinalsOf(needed.bytes(pack));
  const highest = ordinals.at(-1) ?? 0;
  if (highest >= first.index.blocks)
    throw corruptObject(name, `it has ${first.index.blocks} blocks, and block ${highest} is referred to`);
  // A listing may be late: what it lacks is asked for by name.
  const size = listed?.bytes ?? (await data.stat(name, { signal }))?.size ?? null;
  let problem: HoldfastError | null = null;
  let bad: readonly number[] = [];
  if (size === null) problem = missingObject(name, data.name);
  else if (size !== entry.length)
    problem = corruptObject(name, `it has ${size} bytes instead of ${entry.length}`);
  if (problem) bad = ordinals;
  else if (examiner) {
    const exam = await examiner.examine(first, signal);
    report.blocks += exam.blocks;
    ({ problem, bad } = exam);
  }
  const later = listed?.compacted.at(-1);
  if (later) {
    const at = await generations.open(pack, later.generation, signal);
    const exam = examiner ? await examiner.examine(at, signal) : null;
    const lost = (ordinal: number) => !holds(at, ordinal) || exam?.bad.includes(ordinal) === true;
    if (exam?.problem) throw exam.problem;
    const lacking = ordinals.find((ordinal) => bad.includes(ordinal) && lost(ordinal));
    if (size === null && lacking !== undefined)
      throw corruptObject(at.name, `it does not hold block ${lacking}`);
    if (lacking === undefined) return;
  }
  if (problem) throw problem;
}

function ordinalsOf(bits: Buffer): number[] {
  const ordinals: number[] = [];
  for (let i = 0; i < bits.length * 8; i++) if ((bits[i >> 3] ?? 0) & (1 << (i & 7))) ordinals.push(i);
  return ordinals;
}

/** Everything of the chain that no point needs is garbage. */
async function listUnneeded(
  chain: Chain,
  live: LiveObjects,
  { listed, decided }: { listed: FrozenList; decided: ReadonlySet<number> },
  report: CheckReport,
  signal?: AbortSignal,
): Promise<void> {
  const { meta, data } = chain.repository;
  const others = new Set([chainName(chain.id), verifiedName(chain.id)]);
  for (const store of [meta, data]) {
    for await (const { name } of store.list(chainPrefix(chain.id), { signal })) {
      if (live.maps.has(name) || live.trees.has(name) || others.has(name) || parsePointName(name)) continue;
      const pack = parsePackName(name);
      const needed = pack !== null && live.blocks.any(pack.id);
      const newest = needed ? (listed.pack(pack.id)?.compacted.at(-1)?.generation ?? 0) : 0;
      if (needed && pack.generation >= newest) continue;
      const sequence = sequenceOf(name);
      if (sequence === null) report.unneeded(name, 'not an object of a chain');
      else if (needed) report.unneeded(name, 'a later generation took its place');
      else
        report.unneeded(
          name,
          decided.has(sequence) ? 'no restore point needs it' : 'belongs to a number that is not decided',
        );
    }
  }
}
