import type { Installation } from '../../installation/index.ts';
import { type Hold, HoldfastError, type PointRetention } from '../../model/index.ts';
import { openChain, readPoint, retentionOf, writePointState } from '../../repository/index.ts';

/**
 * Holds a restore point, or releases it (`hold` null): a person's word that it stays, whatever retention says. Written into the
 * repository first, which is the truth. May be repeated.
 *
 * @throws `notFound` when the catalog does not know the point; `missingObject` when it was removed
 */
export async function holdPoint(
  installation: Installation,
  { chainId, sequence }: { readonly chainId: string; readonly sequence: number },
  hold: Hold | null,
): Promise<PointRetention> {
  const { catalog, clock, telemetry } = installation;
  const row = await catalog.points.get(chainId, sequence);
  if (!row || row.removedAt !== null) {
    const why = row ? `was removed${row.removedWhy === null ? '' : ` (${row.removedWhy})`}` : 'is not known';
    throw new HoldfastError('notFound', `Restore point ${chainId}/${sequence} ${why}.`, {
      target: `${chainId}/${sequence}`,
    });
  }
  const chain = await openChain(await installation.repositoryById(row.repositoryId), chainId);
  const { manifest } = await readPoint(chain, sequence);
  const state = await writePointState(chain, sequence, (facts) => ({ ...facts, hold }), {
    now: clock.now(),
    above: row.stateCounter,
  });
  const retention = retentionOf(manifest, state);
  await catalog.points.noteState(chainId, sequence, {
    retention,
    stateCounter: state?.counter ?? row.stateCounter,
  });
  telemetry.event('holdfast.restorePoint.held', {
    machineId: row.point.machineId,
    sequence,
    held: hold !== null,
    by: hold?.by ?? null,
    until: hold?.until ?? null,
  });
  return retention;
}
