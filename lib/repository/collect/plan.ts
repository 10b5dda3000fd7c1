import { isHoldfastError } from '../../model/index.ts';
import { type Chain, chainData } from '../chain.ts';
import { examinePack } from '../checkContent.ts';
import { MapObjects } from '../mapObjects.ts';
import { generationName, packName, sequenceOf } from '../names.ts';
import { readOwner } from '../owner.ts';
import { highestGeneration, holds, PackGenerations } from '../packGenerations.ts';
import type { ListedPack } from './frozenList.ts';
import { REMOVED_KEPT_MS, type Root } from './roots.ts';
import { type Survey, type SurveyOptions, surveyChain } from './survey.ts';

/** A lower generation goes only when the one that replaces it is as old: by the store's clock. */
export const REPLACED_KEPT_MS = 24 * 60 * 60 * 1000;
/** A plan lists so many objects; what is beyond is left to the next one. */
export const PLAN_OBJECTS = 100_000;

export interface GarbageItem {
  readonly store: 'meta' | 'data';
  readonly name: string;
  readonly bytes: number;
  readonly why: string;
  /** Only this version may go. */
  readonly etag?: string;
}

export interface Damaged {
  readonly object: string;
  readonly problem: string;
}

/** What a collection of one chain will remove. Plain data: it can be printed, kept, and executed in pieces. */
export interface CollectionPlan {
  readonly chain: string;
  /** The store's time when the plan was begun. */
  readonly plannedAt: string;
  /** The owner that the plan was made under; null: nobody owns the repository. */
  readonly owner: { readonly installation: string; readonly counter: number } | null;
  readonly roots: readonly Pick<Root, 'sequence' | 'why'>[];
  readonly garbage: readonly GarbageItem[];
  /** Of everything that may go; more than `garbage` lists when there are over `PLAN_OBJECTS`. */
  readonly total: { readonly objects: number; readonly bytes: number };
  /** Objects of numbers that are not decided: never touched. */
  readonly undecided: { readonly objects: number; readonly bytes: number };
  /** Packs that a root needs and that are missing, and generations that are not what they should be. Does not stop collection. */
  readonly damage: readonly Damaged[];
}

export interface PlanOptions extends SurveyOptions {
  readonly maxObjects?: number | undefined;
}

/**
 * Plans a collection: reads only (but for an empty probe of the store's clock). `corruptObject` and `missingObject` stop it:
 * the target names the manifest, tree or map object without which it cannot be known what is needed.
 */
export async function planCollection(chain: Chain, options: PlanOptions = {}): Promise<CollectionPlan> {
  const owner = await readOwner(chain.repository);
  const survey = await surveyChain(chain, options);
  const gather = new Gather(survey, options.maxObjects ?? PLAN_OBJECTS);
  const damage = await missingPacks(survey, options.signal);
  const data = chainData(chain);
  const generations = new PackGenerations(data, new MapObjects(data));
  for (const pack of survey.frozen.packs())
    await gatherPack({ gather, survey, generations, damage, signal: options.signal }, pack);
  for (const [name, { bytes }] of survey.frozen.maps) {
    if (!survey.liveMaps.has(name)) gather.object('data', name, bytes, NOT_NEEDED);
  }
  for (const [name, bytes] of survey.frozen.trees) {
    if (!survey.marks.trees.has(name)) gather.object('meta', name, bytes, NOT_NEEDED);
  }
  gatherPoints(gather, survey);
  for (const lease of survey.leases.expired)
    gather.item({ store: 'meta', ...lease, why: 'a lease that was not renewed for an hour' });
  return {
    chain: chain.id,
    plannedAt: survey.now.toISOString(),
    owner: owner && { installation: owner.installation, counter: owner.counter },
    roots: survey.roots.map(({ sequence, why }) => ({ sequence, why })),
    garbage: gather.garbage,
    total: gather.total,
    undecided: gather.undecided,
    damage,
  };
}

const NOT_NEEDED = 'no restore point needs it';
const MAX_DAMAGE = 1000;

class Gather {
  readonly garbage: GarbageItem[] = [];
  readonly total = { objects: 0, bytes: 0 };
  readonly undecided = { objects: 0, bytes: 0 };
  readonly #decided: Survey['decided'];
  readonly #max: number;

  constructor({ decided }: Survey, max: number) {
    this.#decided = decided;
    this.#max = max;
  }

  /** An object that no root needs: garbage when its number is decided. */
  object(store: GarbageItem['store'], name: string, bytes: number, why: string): void {
    if (this.#decided.has(sequenceOf(name) ?? 0)) return this.item({ store, name, bytes, why });
    this.undecided.objects++;
    this.undecided.bytes += bytes;
  }

  item(item: GarbageItem): void {
    this.total.objects++;
    this.total.bytes += item.bytes;
    if (this.garbage.length < this.#max) this.garbage.push(item);
  }
}

interface PackContext {
  readonly gather: Gather;
  readonly survey: Survey;
  readonly generations: PackGenerations;
  readonly damage: Damaged[];
  readonly signal: AbortSignal | undefined;
}

async function gatherPack(context: PackContext, pack: ListedPack): Promise<void> {
  const { gather, survey, damage } = context;
  const { chain, now, marks } = survey;
  const name = (generation: number) => generationName(chain.id, pack.id, generation);
  const lower = [...(pack.bytes === null ? [] : [{ generation: 0, bytes: pack.bytes }]), ...pack.compacted];
  const top = pack.compacted.at(-1);
  if (!marks.blocks.any(pack.id)) {
    for (const { generation, bytes } of lower) gather.object('data', name(generation), bytes, NOT_NEEDED);
    return;
  }
  if (!top || lower.length === 1 || now.getTime() - top.writtenAt.getTime() < REPLACED_KEPT_MS) return;
  const problem = await replaces(context, pack, top.generation);
  if (problem) damage.push(problem);
  else {
    for (const { generation, bytes } of lower.slice(0, -1))
      gather.object('data', name(generation), bytes, `generation ${top.generation} replaces it`);
  }
}

/** Does this generation hold every block of the pack that is needed, and can it be read? Null: yes. */
async function replaces(
  { survey: { chain, marks }, generations, signal }: PackContext,
  { id }: ListedPack,
  generation: number,
): Promise<Damaged | null> {
  try {
    const at = await generations.open(id, generation, signal);
    for (let ordinal = 0; ordinal < at.index.blocks; ordinal++) {
      if (marks.blocks.has(id, ordinal) && !holds(at, ordinal))
        return { object: at.name, problem: `it does not hold block ${ordinal}, which is needed` };
    }
    // What it replaces may be the only copy that can be read: a look at every block, once for each generation that is dropped.
    const { problem } = await examinePack(chain, at, signal);
    return problem && { object: at.name, problem: problem.message };
  } catch (error) {
    if (!isHoldfastError(error, 'corruptObject') && !isHoldfastError(error, 'missingObject')) throw error;
    return { object: error.target ?? generationName(chain.id, id, generation), problem: error.message };
  }
}

async function missingPacks({ chain, frozen, marks }: Survey, signal?: AbortSignal): Promise<Damaged[]> {
  const damage: Damaged[] = [];
  const { data } = chain.repository;
  for (const pack of marks.blocks.packs()) {
    if (frozen.pack(pack) || damage.length >= MAX_DAMAGE) continue;
    // A point that was committed meanwhile has packs that the list does not.
    if ((await highestGeneration(data, chain.id, pack, -1, signal)) >= 0) continue;
    damage.push({ object: packName(chain.id, pack), problem: 'is missing' });
  }
  return damage;
}

/**
 * Claims of numbers that are decided, but the highest one's; states of numbers that hold no point. Manifests, voids included,
 * never go: the number stays taken, and a session that wakes up late still loses it.
 */
function gatherPoints(gather: Gather, { now, decided, numbers, frozen }: Survey): void {
  const highest = Math.max(frozen.highest, ...decided.keys(), ...numbers.claims.keys());
  const old = (at: Date) => now.getTime() - at.getTime() >= REMOVED_KEPT_MS;
  for (const [sequence, { name, bytes, etag, lastModified }] of numbers.claims) {
    const file = { store: 'meta' as const, name, bytes, etag };
    if (decided.has(sequence) && sequence < highest && old(lastModified))
      gather.item({ ...file, why: 'a claim on a number that is decided' });
  }
  for (const [sequence, { name, bytes, etag, lastModified }] of numbers.states) {
    const one = decided.get(sequence);
    if (one?.state === 'void' && old(one.decidedAt) && old(lastModified))
      gather.item({ store: 'meta', name, bytes, etag, why: 'the state of a point that was removed' });
  }
}
