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
import { type BackupState, findState, readState, repositoryOf } from '../state.ts';
import { recordPoint } from './adopt.ts';
import { keepSnapshots } from './snapshots.ts';

/**
 * Settles the number that a session claimed: as the point that it committed, which is then recorded, or as void. True when
 * it is a point. May be repeated; a session that claimed nothing settles nothing.
 */
export async function settleNumber(installation: Installation, sessionId: string): Promise<boolean> {
  const { catalog, clock } = installation;
  const session = await catalog.sessions.get(sessionId);
  let committed = session?.restorePoint !== null;
  if (session?.kind === 'snapshot') return hasKeptItsSet(installation, sessionId);
  for (const { key: chainId, detail } of await catalog.intents.list(sessionId, 'claim')) {
    const chain = await findChain(installation, sessionId, chainId);
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

/** Whether a session that makes snapshots alone has done so: its set is complete, and no longer its own to remove. */
async function hasKeptItsSet(installation: Installation, sessionId: string): Promise<boolean> {
  const set = (await findBackup(installation, sessionId))?.snapshots;
  if (!set) return false;
  const own = await installation.catalog.intents.list(sessionId, 'snapshot');
  return !own.some(({ detail }) => detail['set'] === set.set);
}

/**
 * Records a committed point, and hands its snapshots over to retention: they are bases from now on. Without changed block
 * tracking nothing is a base, and snapshots that no schedule keeps stay the session's own, which removes them at its end. May
 * be repeated.
 */
export async function keepPoint(
  installation: Installation,
  chain: Chain,
  epoch: number,
  stored: StoredManifest<PointManifest>,
): Promise<void> {
  const { catalog } = installation;
  const { session: sessionId, sequence } = stored.manifest;
  const state = await findBackup(installation, sessionId);
  try {
    const bases = state === null || isBase(state);
    await recordPoint(installation, chain, { sessionId, epoch }, stored, { bases });
  } catch (error) {
    // The chain has a new holder, who adopts the point from the repository.
    if (!isHoldfastError(error, 'notOwner')) throw error;
  }
  if (state === null || isBase(state) || state.request.flags.length > 0) {
    const disks = stored.manifest.disks.map(({ snapshotId }) => ({ id: snapshotId }));
    await keepSnapshots(installation, sessionId, { disks });
  }
  await catalog.sessions.update(sessionId, (session) => ({
    ...session,
    restorePoint: { chainId: chain.id, sequence },
  }));
}

const isBase = ({ request }: BackupState): boolean => request.protection.changedBlocks.enabled;

/** The state of a backup; null when it is lost. */
export async function findBackup(installation: Installation, sessionId: string): Promise<BackupState | null> {
  const state = await findState(installation, sessionId);
  return state?.request.kind === 'backup' ? (state as BackupState) : null;
}

async function findChain(
  installation: Installation,
  sessionId: string,
  chainId: string,
): Promise<Chain | null> {
  try {
    return await openChain(
      await installation.repository(await repositoryOf(installation, sessionId)),
      chainId,
    );
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
