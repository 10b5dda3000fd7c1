import type { Installation, InstalledRepository } from '../../installation/index.ts';
import { type Chain, removePoint } from '../../repository/index.ts';

export interface PointRemoval {
  readonly sequence: number;
  readonly machineId: string;
  readonly sessionId: string | null;
  readonly reason: 'retention' | 'request';
  /** Why it goes, for people. */
  readonly why: string | null;
}

export type PointRemoved =
  | { readonly removed: true }
  /** It is immutable; nothing was done. */
  | { readonly removed: false; readonly immutableUntil: Date };

/**
 * Removes one restore point, everywhere that the service does so: its manifest becomes a void, the catalog notes it, and those who
 * watch are told. One whose lock is in force stays as it is, and its date is noted and told. May be repeated.
 *
 * @param repository the one that holds `chain`; the caller has made sure that this installation owns it
 */
export async function removeRestorePoint(
  { catalog, clock, telemetry }: Installation,
  repository: InstalledRepository,
  chain: Chain,
  { sequence, machineId, sessionId, reason, why }: PointRemoval,
): Promise<PointRemoved> {
  const immutableUntil = (await repository.locks?.heldUntil(chain, sequence)) ?? null;
  if (immutableUntil !== null) {
    await catalog.points.noteLock(chain.id, sequence, immutableUntil);
    telemetry.event('holdfast.restorePoint.removalRefused', {
      sessionId,
      machineId,
      sequence,
      reason,
      immutableUntil: immutableUntil.toISOString(),
    });
    return { removed: false, immutableUntil };
  }
  const by = sessionId === null ? reason : `${reason} ${sessionId}`;
  await removePoint(chain, { sequence, by, now: clock.now() });
  await catalog.points.markRemoved(chain.id, sequence, clock.now(), why);
  // With its last point a chain that nobody goes on with gives its snapshots free.
  if ((await catalog.points.list(chain.id)).length === 0)
    await catalog.chains.dropBases({ repositoryId: repository.id, machineId: chain.machine.id }, chain.id);
  telemetry.event('holdfast.restorePoint.removed', { sessionId, machineId, sequence, reason });
  return { removed: true };
}
