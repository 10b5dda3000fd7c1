import { isHoldfastError } from '../../model/index.ts';
import { type Chain, chainData } from '../chain.ts';
import { CheckReport, type Finding } from '../checkReport.ts';
import type { PointManifest } from '../manifest.ts';
import { MapObjects } from '../mapObjects.ts';
import { packName, parseMapName, parsePackName, parsePointName, pointsPrefix } from '../names.ts';
import { readManifest } from '../points.ts';
import { type BadPack, lookAtPack } from './badPacks.ts';
import { DamageWalk, type LostBlock, type Suspects } from './damageWalk.ts';
import { type DiskDamage, readPointState, writePointState } from './pointState.ts';

/** A restore point that cannot be read whole. */
export interface DamagedPoint {
  readonly chain: string;
  readonly sequence: number;
  readonly damage: readonly DiskDamage[];
  /** Of the state that says so, for the catalog to remember; null when the state could not be written, or not read. */
  readonly counter: number | null;
}

export interface MarkedDamage {
  readonly damaged: readonly DamagedPoint[];
  /** Points that were marked and can be read whole again. */
  readonly healed: readonly number[];
  /** Counters of the states of both, where they could be written, for the catalog to remember. */
  readonly counters: ReadonlyMap<number, number>;
  /**
   * Later generations of packs that are damaged, though every block that points need may be read elsewhere: `healChain`
   * replaces them when it is told of them.
   */
  readonly spoiled: readonly string[];
  readonly findings: readonly Finding[];
}

export interface MarkDamage {
  readonly now: Date;
  /**
   * Counters of states, by number, that the caller remembers. A state that is older was put back: it is found as damage, and
   * stays as it is, for a write would make it look like the newest.
   */
  readonly remembered?: ReadonlyMap<number, number> | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Looks at the suspected objects (names of packs of any generation, map objects, trees) and at all those that states call
 * damaged, and records in the state of every point which of its blocks cannot be read: no more and no less. A point that
 * reaches only sound blocks of a damaged pack is whole. May be called again, and with objects that turn out to be sound.
 */
export async function markDamage(
  chain: Chain,
  suspected: Iterable<string>,
  { now, remembered, signal }: MarkDamage,
): Promise<MarkedDamage> {
  const report = new CheckReport();
  const { decided, marked, states } = await survey(chain, report, { remembered, signal });
  const objects = new Set(suspected);
  for (const damage of marked.values())
    for (const disk of damage) for (const one of disk.objects) objects.add(one);
  const maps = new MapObjects(chainData(chain));
  const suspects = await lookAt(chain, maps, objects, signal);
  const walk = new DamageWalk(chain, maps, suspects);
  const damaged: DamagedPoint[] = [];
  const healed: number[] = [];
  const counters = new Map<number, number>();
  for await (const manifest of pointsOf(chain, decided, report)) {
    const { sequence } = manifest;
    if (remembered?.get(sequence) && !states.has(sequence)) {
      await guardState(report, `${chain.id}/${sequence}`, () =>
        readPointState(chain, sequence, { atLeast: remembered.get(sequence), signal }),
      );
    }
    const damage = await walk.point(manifest, undefined, signal);
    const point = `${chain.id}/${sequence}`;
    for (const disk of damage)
      for (const object of disk.objects) report.found(object, problemOf(suspects, object), [point]);
    if (damage.length === 0 && !marked.has(sequence)) continue;
    const atLeast = remembered?.get(sequence);
    const state = await guardState(report, point, () =>
      writePointState(chain, sequence, (facts) => ({ ...facts, damage }), { now, atLeast, signal }).catch(
        gone(sequence),
      ),
    );
    if (state) counters.set(sequence, state.counter);
    if (damage.length > 0)
      damaged.push({ chain: chain.id, sequence, damage, counter: state?.counter ?? null });
    else healed.push(sequence);
  }
  const spoiled: string[] = [];
  for (const [name, bad] of suspects.packs) {
    for (const [object, problem] of bad.problems) report.found(object, problem);
    if (!bad.spoiled || !walk.needed.has(name)) continue;
    spoiled.push(bad.spoiled.name);
    report.found(bad.spoiled.name, bad.spoiled.problem);
  }
  return { damaged, healed, counters, spoiled, findings: report.result().findings };
}

/** A state that is damaged, or older than what is remembered of it, is a finding. */
async function guardState<T>(report: CheckReport, point: string, step: () => Promise<T>): Promise<T | null> {
  return report.guard(async () => {
    try {
      return await step();
    } catch (error) {
      if (!isHoldfastError(error, 'repositoryMismatch')) throw error;
      report.found(error.target ?? point, error.message, [point]);
      return null;
    }
  }, [point]);
}

/** The point was removed meanwhile: nobody needs its state. */
const gone =
  (sequence: number) =>
  (error: unknown): null => {
    if (isHoldfastError(error, 'missingObject') && parsePointName(error.target ?? '')?.sequence === sequence)
      return null;
    throw error;
  };

interface Survey {
  /** Numbers that are decided, ascending. */
  readonly decided: readonly number[];
  /** Damage that states tell of, by number. */
  readonly marked: ReadonlyMap<number, readonly DiskDamage[]>;
  /** Numbers that have a state. */
  readonly states: ReadonlySet<number>;
}

async function survey(
  chain: Chain,
  report: CheckReport,
  { remembered, signal }: Pick<MarkDamage, 'remembered' | 'signal'>,
): Promise<Survey> {
  const decided: number[] = [];
  const marked = new Map<number, readonly DiskDamage[]>();
  const states = new Set<number>();
  for await (const { name } of chain.repository.meta.list(pointsPrefix(chain.id), { signal })) {
    const found = parsePointName(name);
    if (!found) continue;
    const { sequence, kind } = found;
    if (kind === 'manifest') decided.push(sequence);
    if (kind !== 'state') continue;
    states.add(sequence);
    const atLeast = remembered?.get(sequence);
    const state = await guardState(report, `${chain.id}/${sequence}`, () =>
      readPointState(chain, sequence, { atLeast, signal }),
    );
    if (state && state.damage.length > 0) marked.set(sequence, state.damage);
  }
  return { decided, marked, states };
}

/** The points among the numbers, one at a time in memory. */
async function* pointsOf(
  chain: Chain,
  sequences: Iterable<number>,
  report: CheckReport,
): AsyncGenerator<PointManifest> {
  for (const sequence of sequences) {
    const stored = await report.guard(() => readManifest(chain, sequence), [`${chain.id}/${sequence}`]);
    if (stored?.manifest.state === 'point') yield stored.manifest;
  }
}

async function lookAt(
  chain: Chain,
  maps: MapObjects,
  objects: ReadonlySet<string>,
  signal?: AbortSignal,
): Promise<Suspects> {
  const packs = new Map<string, BadPack>();
  const metadata = new Set<string>();
  for (const object of objects) {
    const pack = parsePackName(object)?.id;
    if (!pack) {
      if (parseMapName(object) || object.endsWith('.tree')) metadata.add(object);
      continue;
    }
    const name = packName(chain.id, pack);
    if (packs.has(name)) continue;
    const bad = await lookAtPack(chain, maps, pack, signal);
    packs.set(name, bad);
    for (const other of bad.problems.keys()) if (parseMapName(other)) metadata.add(other);
  }
  return { packs, metadata };
}

function problemOf({ packs }: Suspects, object: string): string {
  for (const { problems } of packs.values()) {
    const problem = problems.get(object);
    if (problem !== undefined) return problem;
  }
  return `The object ${object} is missing or damaged.`;
}

export interface LostBlocks {
  /** Packs that states call damaged, and suspected ones, by the name of generation 0, as they are now. */
  readonly packs: ReadonlyMap<string, BadPack>;
  /** One block of a disk for each lost block of those packs, by `<pack> <ordinal>`: where it once was. */
  readonly lost: ReadonlyMap<string, LostBlock>;
  /** The newest point; null when there is none. */
  readonly newest: number | null;
}

/**
 * The blocks of packs that points need and that cannot be read, from what states say. `suspected` are objects to look at
 * besides. Nothing is written.
 */
export async function lostBlocks(
  chain: Chain,
  suspected: Iterable<string>,
  signal?: AbortSignal,
): Promise<LostBlocks> {
  const report = new CheckReport();
  const { decided, marked } = await survey(chain, report, { signal });
  const objects = new Set([...marked.values()].flatMap((disks) => disks.flatMap((disk) => disk.objects)));
  for (const object of suspected) objects.add(object);
  const maps = new MapObjects(chainData(chain));
  const suspects = await lookAt(chain, maps, objects, signal);
  const walk = new DamageWalk(chain, maps, suspects);
  const lost = new Map<string, LostBlock>();
  let newest: number | null = null;
  for await (const manifest of pointsOf(chain, decided, report)) {
    newest = manifest.sequence;
    if (!marked.has(manifest.sequence)) continue;
    await walk.point(
      manifest,
      (one) => lost.set(`${packName(chain.id, one.pack)} ${one.ordinal}`, one),
      signal,
    );
  }
  return { packs: suspects.packs, lost, newest };
}
