import type { Installation } from '../installation/index.ts';
import { type Failure, toFailure } from '../model/index.ts';
import { type MarkedDamage, markDamage, openChain } from '../repository/index.ts';
import { warn } from './live.ts';
import { repositoryOf } from './state.ts';

/** Marking must leave time of an activity's minute for what comes after it. What is not marked then the next check finds. */
const MARK_MS = 30_000;
/** Objects of a chain that say what is damaged when they cannot be read. */
const MARKABLE = /^(chains\/([^/]+)\/(?:packs|maps)\/[^/]+\.(?:pack|map|tree))$/;

/** The objects of chains that these failures call damaged or missing. */
export const damagedObjects = (failures: readonly (Pick<Failure, 'code' | 'target'> | null)[]): string[] => [
  ...new Set(
    failures.flatMap((failure) => {
      const damage = failure?.code === 'corruptObject' || failure?.code === 'missingObject';
      return damage && failure.target !== undefined && MARKABLE.test(failure.target) ? [failure.target] : [];
    }),
  ),
];

/**
 * A session has met objects that are damaged or missing: the restore points that need them are marked at once, so that lists
 * show it, and the next backup reads those blocks again. Marks are facts that a check finds too, so a failure here is only a
 * warning. May be called again.
 */
export async function noteDamage(
  installation: Installation,
  sessionId: string,
  objects: readonly string[],
): Promise<void> {
  const chains = Map.groupBy(objects, (object) => MARKABLE.exec(object)?.[2] ?? '');
  for (const [chainId, suspected] of chains) {
    if (chainId === '') continue;
    try {
      const repository = await installation.repository(await repositoryOf(installation, sessionId));
      const chain = await openChain(repository, chainId);
      const marked = await markDamage(chain, suspected, {
        now: installation.clock.now(),
        remembered: await stateCounters(installation, chainId),
        signal: AbortSignal.timeout(MARK_MS),
      });
      await rememberDamage(installation, chainId, marked);
      for (const { object, problem, points } of marked.findings) {
        await warn(
          installation,
          sessionId,
          `${object}: ${problem}; ${points.length} restore points are marked as damaged.`,
        );
        installation.telemetry.event('holdfast.repository.damaged', {
          sessionId,
          object,
          problem,
          points: points.length,
        });
      }
    } catch (error) {
      const problem = toFailure(error).message;
      await warn(
        installation,
        sessionId,
        `The damage of ${suspected.join(', ')} could not be marked: ${problem}. The next check of the repository does it.`,
      );
    }
  }
}

/** Repeats in the catalog which points are damaged, and the counters of the states that say so. */
export async function rememberDamage(
  { catalog }: Installation,
  chainId: string,
  { damaged, healed, counters }: Pick<MarkedDamage, 'damaged' | 'healed' | 'counters'>,
): Promise<void> {
  for (const { sequence } of damaged)
    await catalog.points.markDamaged(chainId, sequence, true, counters.get(sequence));
  for (const sequence of healed)
    await catalog.points.markDamaged(chainId, sequence, false, counters.get(sequence));
}

/** The counters of the states of a chain's points that the catalog has seen: an older state is one that was put back. */
export async function stateCounters(
  { catalog }: Installation,
  chainId: string,
): Promise<ReadonlyMap<number, number>> {
  const rows = await catalog.points.list(chainId);
  return new Map(rows.map(({ point, stateCounter }) => [point.sequence, stateCounter]));
}
