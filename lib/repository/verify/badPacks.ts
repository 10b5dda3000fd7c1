import { type Chain, chainData } from '../chain.ts';
import { damageIn, examinePack } from '../checkContent.ts';
import type { MapObjects } from '../mapObjects.ts';
import { generationName, generationsPrefix, type PackId, packName, parsePackName } from '../names.ts';
import { PackGenerations } from '../packGenerations.ts';

/** What cannot be read of a pack, whatever generation is asked. */
export interface BadPack {
  readonly pack: PackId;
  /** Ordinals; null: all, for where its blocks lie is not known. */
  readonly ordinals: ReadonlySet<number> | null;
  /** The damaged or missing objects because of which blocks cannot be read, with what is wrong. */
  readonly problems: ReadonlyMap<string, string>;
  /** The highest generation, 0 without a later one. */
  readonly highest: number;
  /** What is wrong with the highest generation, were it 1 or above: it is in the way of compaction, and is to be replaced. */
  readonly spoiled: { readonly name: string; readonly problem: string } | null;
}

/** Looks at every block of every generation of a pack that a reader would ask: the first, and the highest. */
export async function lookAtPack(
  chain: Chain,
  maps: MapObjects,
  pack: PackId,
  signal?: AbortSignal,
): Promise<BadPack> {
  const generations = new PackGenerations(chainData(chain), maps);
  const problems = new Map<string, string>();
  const note = (error: unknown, name: string) => {
    const { target = name, message } = damageIn(error);
    problems.set(target, message);
  };
  let bad: Set<number>;
  try {
    const exam = await examinePack(chain, await generations.open(pack, 0, signal), signal);
    bad = new Set(exam.bad);
    if (exam.problem) note(exam.problem, exam.name);
  } catch (error) {
    note(error, packName(chain.id, pack));
    return { pack, ordinals: null, problems, highest: 0, spoiled: null };
  }
  const highest = (await laterGenerations(chain, pack, signal)).at(-1) ?? 0;
  const answer = { pack, ordinals: bad, problems, highest };
  if (highest === 0) return { ...answer, spoiled: null };
  const sound = problems.size === 0;
  let spoiled: BadPack['spoiled'] = null;
  const name = generationName(chain.id, pack, highest);
  try {
    const at = await generations.open(pack, highest, signal);
    const exam = await examinePack(chain, at, signal);
    if (exam.problem) {
      spoiled = { name, problem: exam.problem.message };
      note(exam.problem, name);
    } else problems.clear();
    const lost = new Set(exam.bad);
    at.index.lengths.forEach((length, ordinal) => {
      if (length > 0 && !lost.has(ordinal)) bad.delete(ordinal);
    });
    if (bad.size > 0) problems.set(packName(chain.id, pack), 'blocks of it are lost');
  } catch (error) {
    note(error, packName(chain.id, pack));
    spoiled = { name, problem: damageIn(error).message };
  }
  // What the first generation holds, readers get from there.
  if (sound) problems.clear();
  return { ...answer, spoiled };
}

/** Generations of a pack after the first, ascending. */
export async function laterGenerations(chain: Chain, pack: PackId, signal?: AbortSignal): Promise<number[]> {
  const found: number[] = [];
  for await (const { name } of chain.repository.data.list(generationsPrefix(chain.id, pack), { signal })) {
    const generation = parsePackName(name)?.generation ?? 0;
    if (generation > 0) found.push(generation);
  }
  return found.sort((a, b) => a - b);
}
