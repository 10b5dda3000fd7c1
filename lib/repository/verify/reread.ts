import type { Chain } from '../chain.ts';
import { damageIn } from '../checkContent.ts';
import type { BlockRun } from './blockRuns.ts';
import { type DiskDamage, readPointState } from './pointState.ts';

/** What is known to be damaged of a restore point. A state that cannot be read tells of nothing: reading finds damage again. */
export async function knownDamage(
  chain: Chain,
  sequence: number,
  signal?: AbortSignal,
): Promise<readonly DiskDamage[]> {
  try {
    return (await readPointState(chain, sequence, { signal }))?.damage ?? [];
  } catch (error) {
    damageIn(error);
    return [];
  }
}

/**
 * The blocks of each disk, by its number, that the backup made from this point reads again, whatever changed block tracking
 * says of them, and of which it uses nothing that the point holds: `damaged` of `writePageTable`. Empty when the point is
 * whole.
 */
export async function rereadOf(
  chain: Chain,
  sequence: number,
  signal?: AbortSignal,
): Promise<ReadonlyMap<number, readonly BlockRun[]>> {
  const damage = await knownDamage(chain, sequence, signal);
  return new Map(damage.map(({ disk, ranges }) => [disk, ranges]));
}
