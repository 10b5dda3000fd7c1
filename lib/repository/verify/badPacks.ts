import type { Chain } from '../chain.ts';
import { damageIn, examinePack } from '../checkContent.ts';
import type { MapObjects } from '../mapObjects.ts';
import { generationsPrefix, type PackId, packName, parsePackName } from '../names.ts';
import { chainData } from '../openPoint.ts';
import { PackGenerations } from '../packGenerations.ts';

/** What cannot be read of a pack, whatever generation is asked. */
export interface BadPack {
  readonly pack: PackId;
  /** Ordinals; null: all, for where its blocks lie is not known. */
  readonly ordinals: ReadonlySet<number> | null;
  /** The damaged or missing objects, with what is wrong. */
  readonly problems: ReadonlyMap<string, string>;
}

/** Looks at every block of every generation of a pack that a reader would ask: the first, and the highest. */
export async function lookAtPack(
  chain: Chain,
  maps: MapObjects,
  pack: PackId,
  signal?: AbortSignal,
): Promise<BadPack> {
  const { data } = chain.repository;
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
    return { pack, ordinals: null, problems };
  }
  if (problems.size === 0) return { pack, ordinals: bad, problems };
  let highest = 0;
  for await (const { name } of data.list(generationsPrefix(chain.id, pack), { signal }))
    highest = Math.max(highest, parsePackName(name)?.generation ?? 0);
  if (highest === 0) return { pack, ordinals: bad, problems };
  try {
    const at = await generations.open(pack, highest, signal);
    const exam = await examinePack(chain, at, signal);
    if (exam.problem) note(exam.problem, exam.name);
    else problems.clear();
    const lost = new Set(exam.bad);
    at.index.lengths.forEach((length, ordinal) => {
      if (length > 0 && !lost.has(ordinal)) bad.delete(ordinal);
    });
    if (bad.size > 0) problems.set(packName(chain.id, pack), 'blocks of it are lost');
  } catch (error) {
    note(error, packName(chain.id, pack));
  }
  return { pack, ordinals: bad, problems };
}
