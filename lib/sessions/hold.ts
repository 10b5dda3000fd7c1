import type { Installation } from '../installation/index.ts';
import { openChain, renewClaim, renewLease } from '../repository/index.ts';
import { type BackupState, findState, type RestoreState } from './state.ts';

const RENEW_MS = 5 * 60_000;
/** When this process last renewed what a session holds; another process that renews too does no harm. */
const renewedAt = new WeakMap<Installation, Map<string, number>>();

/**
 * Renews, every five minutes, what the session holds in the repository: the claim on its number, or the lease on the point
 * that it reads. `claimLost` when it was given to somebody else, or ended.
 */
export async function keepHold(installation: Installation, sessionId: string): Promise<void> {
  const renewals = renewedAt.get(installation) ?? new Map<string, number>();
  renewedAt.set(installation, renewals);
  const now = installation.clock.now().getTime();
  if (now - (renewals.get(sessionId) ?? 0) < RENEW_MS) return;
  const state = await findState(installation, sessionId);
  if (state?.request.kind === 'backup') await keepClaim(installation, sessionId, state as BackupState);
  if (state?.request.kind === 'restore') await keepLease(installation, state as RestoreState);
  renewals.set(sessionId, now);
}

async function keepClaim(
  installation: Installation,
  sessionId: string,
  { opened, request }: BackupState,
): Promise<void> {
  if (!opened) return;
  const { chainId, epoch, sequence, parent } = opened;
  const chain = await openChain(await installation.repository(request.repository), chainId);
  const { id } = await installation.identity();
  await renewClaim(chain, { sequence, installation: id, session: sessionId, epoch, parent });
}

async function keepLease(installation: Installation, { opened, request }: RestoreState): Promise<void> {
  if (opened) await renewLease(await installation.repository(request.repository), opened.lease);
}
