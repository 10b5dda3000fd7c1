import { isHoldfastError, KiB } from '../../model/index.ts';
import { type Chain, chainData } from '../chain.ts';
import { MapObjects } from '../mapObjects.ts';
import { generationName, packName } from '../names.ts';
import { readOwner } from '../owner.ts';
import { holds, MAX_GENERATIONS, PackGenerations } from '../packGenerations.ts';
import { TAG_BYTES } from '../sealedObject.ts';
import type { ListedPack } from './frozenList.ts';
import type { Damaged } from './plan.ts';
import { type Survey, type SurveyOptions, surveyChain } from './survey.ts';

/** A pack whose dead blocks are worth the request. */
export interface PackToCompact {
  /** Generation 0's name: what the block maps refer to. */
  readonly pack: string;
  /** The generation that is read, and the one that is written. */
  readonly from: number;
  readonly to: number;
  readonly name: string;
  /** Base64 of the bit set of the ordinals that are kept. */
  readonly kept: string;
  readonly keptBlocks: number;
  readonly bytesBefore: number;
  readonly bytesAfter: number;
}

/** What compaction of one chain will write. Plain data. */
export interface CompactionPlan {
  readonly chain: string;
  readonly plannedAt: string;
  readonly owner: { readonly installation: string; readonly counter: number } | null;
  readonly packs: readonly PackToCompact[];
  /** Of all packs that are worth it; `packs` lists at most `maxPacks`. */
  readonly total: { readonly packs: number; readonly bytesBefore: number; readonly bytesAfter: number };
  readonly damage: readonly Damaged[];
}

export interface CompactionOptions extends SurveyOptions {
  /** A pack that wastes less stays: default 256 KiB. */
  readonly minWasteBytes?: number;
  readonly maxPacks?: number;
  /** Packs that are not to be touched: locked, archived. */
  readonly skip?: (pack: string) => boolean;
}

const MIN_WASTE = 256 * KiB;
const MAX_PACKS = 5000;

/**
 * Plans the compaction of packs of which less than half is needed. A block that is dead now is dead for good, so that what is
 * kept suffices however late the plan is executed. Reads the indexes of packs that are needed (26 bytes a block), one after the
 * other, and no pack of generation 0.
 */
export async function planCompaction(chain: Chain, options: CompactionOptions = {}): Promise<CompactionPlan> {
  const { minWasteBytes = MIN_WASTE, maxPacks = MAX_PACKS, skip = () => false, signal } = options;
  const owner = await readOwner(chain.repository);
  const survey = await surveyChain(chain, options);
  const data = chainData(chain);
  const generations = new PackGenerations(data, new MapObjects(data));
  const packs: PackToCompact[] = [];
  const damage: Damaged[] = [];
  const total = { packs: 0, bytesBefore: 0, bytesAfter: 0 };
  for (const listed of survey.frozen.packs()) {
    const { id } = listed;
    if (!survey.decided.has(id.sequence) || !survey.marks.blocks.any(id) || skip(packName(chain.id, id)))
      continue;
    const found = await sparse(survey, listed, generations, signal).catch((error: unknown) => {
      if (!isHoldfastError(error, 'corruptObject') && !isHoldfastError(error, 'missingObject')) throw error;
      damage.push({ object: error.target ?? packName(chain.id, id), problem: error.message });
      return null;
    });
    if (!found) continue;
    const { bytesBefore, bytesAfter, to } = found;
    if (bytesAfter * 2 >= bytesBefore || bytesBefore - bytesAfter < minWasteBytes || to > MAX_GENERATIONS)
      continue;
    total.packs++;
    total.bytesBefore += bytesBefore;
    total.bytesAfter += bytesAfter;
    if (packs.length < maxPacks) packs.push(found);
  }
  return {
    chain: chain.id,
    plannedAt: survey.now.toISOString(),
    owner: owner && { installation: owner.installation, counter: owner.counter },
    packs,
    total,
    damage,
  };
}

/** What compaction would make of the highest generation of a pack. */
async function sparse(
  { chain, marks }: Survey,
  { id, bytes, compacted }: ListedPack,
  generations: PackGenerations,
  signal?: AbortSignal,
): Promise<PackToCompact | null> {
  const top = compacted.at(-1);
  const from = top?.generation ?? 0;
  const bytesBefore = top?.bytes ?? bytes ?? 0;
  const at = await generations.open(id, from, signal);
  let dead = 0;
  let keptBlocks = 0;
  for (let ordinal = 0; ordinal < at.index.blocks; ordinal++) {
    if (!holds(at, ordinal)) continue;
    if (marks.blocks.has(id, ordinal)) keptBlocks++;
    else dead += at.index.extent(ordinal).length - TAG_BYTES;
  }
  if (dead === 0) return null;
  return {
    pack: packName(chain.id, id),
    from,
    to: from + 1,
    name: generationName(chain.id, id, from + 1),
    kept: marks.blocks.bytes(id).toString('base64'),
    keptBlocks,
    bytesBefore,
    bytesAfter: bytesBefore - dead,
  };
}
