import type { ChainOwner, ChainRow } from '../../catalog/index.ts';
import type { Installation, InstalledRepository } from '../../installation/index.ts';
import type { ErrorCode } from '../../model/index.ts';
import { assessChain } from '../../repository/index.ts';
import { warn } from '../live.ts';
import { repositoryOf } from '../state.ts';

/** Failures of a backup after which its chain is looked at before another builds on it. */
const SUSPICIOUS: ReadonlySet<ErrorCode> = new Set(['corruptObject', 'missingObject', 'jobPoisoned']);

/**
 * Begins a new chain when the metadata that the next backup would build on is damaged: with an alert, and with what can be
 * read of the old one kept. The look costs a request for each page, so it is taken only after a backup of the machine has
 * failed on damage. Null: the chain is sound, or nobody suspects it. Repeated, it finds the new chain.
 */
export async function restartIfDamaged(
  installation: Installation,
  repository: InstalledRepository,
  chain: ChainRow,
  owner: ChainOwner,
): Promise<ChainRow | null> {
  const { catalog, telemetry } = installation;
  const { machineId, chainId } = chain;
  if (!chain.head || !(await isSuspected(installation, machineId, owner.sessionId, repository.place.id)))
    return null;
  const assessment = await assessChain(repository, chainId);
  if (assessment === 'sound') return null;
  const [first] = assessment.damaged;
  const object = first?.object ?? chainId;
  await warn(
    installation,
    owner.sessionId,
    `The metadata of chain ${chainId} is damaged (${object}: ${first?.problem}); a new chain was begun.`,
  );
  telemetry.event('holdfast.chain.restarted', { sessionId: owner.sessionId, machineId, chainId, object });
  return catalog.chains.restart({ repositoryId: chain.repositoryId, machineId }, owner);
}

async function isSuspected(
  installation: Installation,
  machineId: string,
  sessionId: string,
  repository: string,
): Promise<boolean> {
  const { sessions } = await installation.catalog.sessions.list({ machineId, limit: 20 });
  for (const { id, kind, status, error } of sessions) {
    if (kind !== 'backup' || id === sessionId || status === 'running') continue;
    // What failed in another repository says nothing about this chain.
    if ((await repositoryOf(installation, id)) !== repository) continue;
    return error !== null && SUSPICIOUS.has(error.code);
  }
  return false;
}
