import type { Installation } from '../../installation/index.ts';
import { isHoldfastError } from '../../model/index.ts';
import {
  type Chain,
  openChain,
  openSequences,
  type PointManifest,
  readClaim,
  readManifest,
  type StoredManifest,
  voidClaim,
} from '../../repository/index.ts';
import { readState } from '../state.ts';
import { recordPoint } from './adopt.ts';

/**
 * Settles the number that a session claimed: as the point that it committed, which is then recorded, or as void. True when
 * it is a point. May be repeated; a session that claimed nothing settles nothing.
 */
export async function settleNumber(installation: Installation, sessionId: string): Promise<boolean> {
  const { catalog, clock } = installation;
  let committed = (await catalog.sessions.get(sessionId))?.restorePoint !== null;
  for (const { key: chainId, detail } of await catalog.intents.list(sessionId, 'claim')) {
    const chain = await findChain(installation, chainId);
    for (const sequence of chain ? await sequencesOf(installation, chain, sessionId) : []) {
      if (!chain) continue;
      const by = `session ${sessionId}`;
      await voidClaim(chain, { sequence, by, now: clock.now(), because: 'sessionEnded' });
      const decided = await readManifest(chain, sequence);
      if (decided?.manifest.state !== 'point' || decided.manifest.session !== sessionId) continue;
      await keepPoint(installation, chain, Number(detail['epoch']), {
        ...decided,
        manifest: decided.manifest,
      });
      committed = true;
    }
    await catalog.intents.resolve(sessionId, 'claim', chainId);
  }
  return committed;
}

/** Records a committed point, and hands its snapshots over to retention: they are bases from now on. May be repeated. */
export async function keepPoint(
  installation: Installation,
  chain: Chain,
  epoch: number,
  stored: StoredManifest<PointManifest>,
): Promise<void> {
  const { catalog } = installation;
  const { session: sessionId, sequence } = stored.manifest;
  try {
    await recordPoint(installation, chain, { sessionId, epoch }, stored);
  } catch (error) {
    // The chain has a new holder, who adopts the point from the repository.
    if (!isHoldfastError(error, 'notOwner')) throw error;
  }
  const named = new Set(stored.manifest.disks.map(({ snapshotId }) => snapshotId.toLowerCase()));
  for (const { key } of await catalog.intents.list(sessionId, 'snapshot')) {
    if (named.has(key.toLowerCase())) await catalog.intents.resolve(sessionId, 'snapshot', key);
  }
  await catalog.sessions.update(sessionId, (session) => ({
    ...session,
    restorePoint: { chainId: chain.id, sequence },
  }));
}

async function findChain(installation: Installation, chainId: string): Promise<Chain | null> {
  try {
    return await openChain(await installation.repository(), chainId);
  } catch (error) {
    if (isHoldfastError(error, 'missingObject')) return null;
    throw error;
  }
}

/** The number in the session's state, or, when it died before writing it down, the open ones that it claimed. */
async function sequencesOf(installation: Installation, chain: Chain, sessionId: string): Promise<number[]> {
  const { opened } = await readState(installation, sessionId, 'backup');
  if (opened) return [opened.sequence];
  const open = await openSequences(chain);
  const claims = await Promise.all(open.map((sequence) => readClaim(chain, sequence)));
  return open.filter((_, i) => claims[i]?.session === sessionId);
}
