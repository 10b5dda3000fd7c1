import type { Installation } from '../../installation/index.ts';
import { openChain, renewClaim } from '../../repository/index.ts';
import { findState } from '../state.ts';

const RENEW_MS = 5 * 60_000;
/** When this process last renewed a session's claim; another process that renews too does no harm. */
const renewedAt = new WeakMap<Installation, Map<string, number>>();

/** Renews the number's claim every five minutes. `claimLost` when it was given to somebody else, or ended. */
export async function keepClaimAlive(installation: Installation, sessionId: string): Promise<void> {
  const state = await findState(installation, sessionId);
  if (
    state?.request.kind !== 'backup' ||
    !('opened' in state) ||
    !state.opened ||
    !('chainId' in state.opened)
  )
    return;
  const renewals = renewedAt.get(installation) ?? new Map<string, number>();
  renewedAt.set(installation, renewals);
  const now = installation.clock.now().getTime();
  if (now - (renewals.get(sessionId) ?? 0) < RENEW_MS) return;
  const { chainId, epoch, sequence, parent } = state.opened;
  const chain = await openChain(await installation.repository(), chainId);
  const { id } = await installation.identity();
  await renewClaim(chain, { sequence, installation: id, session: sessionId, epoch, parent });
  renewals.set(sessionId, now);
}
