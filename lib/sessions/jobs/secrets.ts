import type { Installation } from '../../installation/index.ts';
import { HoldfastError, type JobSecrets, type JobSpec } from '../../model/index.ts';
import { encodeChainKeys, openChain } from '../../repository/index.ts';
import { AccessWaits, type GrantedSnapshot, readAccess, releaseAccess, writeAccess } from '../access.ts';
import { readState, repositoryOf } from '../state.ts';

/** Storage SAS of a job live this long; the worker renews them. */
const SAS_SECONDS = 3600;

/** What a job needs to be done: made when it is claimed, held in memory, never written down. */
export async function secretsOf(
  installation: Installation,
  sessionId: string,
  spec: JobSpec,
): Promise<JobSecrets> {
  const { azure, settings } = installation;
  const repository = await installation.repository(await repositoryOf(installation, sessionId));
  const chain = await openChain(repository, spec.chain.id);
  const data = await repository.workerSas(SAS_SECONDS);
  const staging = await azure.appSas.forWorker(settings.HOLDFAST_STAGING_CONTAINER, SAS_SECONDS);
  return {
    chainKey: encodeChainKeys(chain.keys).toString('base64'),
    dataUrl: data.url,
    stagingUrl: staging.url,
    ...(await diskAccess(installation, sessionId, spec)),
    expiresAt: new Date(Math.min(data.expiresAt.getTime(), staging.expiresAt.getTime())).toISOString(),
  };
}

async function diskAccess(
  installation: Installation,
  sessionId: string,
  spec: JobSpec,
): Promise<Pick<JobSecrets, 'sourceUrl' | 'baseUrl' | 'targetUrl'>> {
  if (spec.kind === 'restore') {
    return {
      sourceUrl: null,
      baseUrl: null,
      targetUrl: await writeAccess(installation, sessionId, spec.targetDiskId),
    };
  }
  const source = await snapshotOf(installation, sessionId, spec.snapshotId);
  const sourceUrl = await readAccess(installation, sessionId, source, 'source');
  const baseId = spec.kind === 'plan' ? spec.baseSnapshotId : null;
  if (baseId === null) return { sourceUrl, baseUrl: null, targetUrl: null };
  try {
    // One family: that is what makes it a base.
    const base = { id: baseId, familyId: source.familyId };
    return { sourceUrl, baseUrl: await readAccess(installation, sessionId, base, 'base'), targetUrl: null };
  } catch (error) {
    // Readers that each hold one and wait for another would wait for each other.
    if (error instanceof AccessWaits)
      await releaseAccess(installation, sessionId, { purpose: 'source', resourceId: source.id });
    throw error;
  }
}

async function snapshotOf(
  installation: Installation,
  sessionId: string,
  id: string,
): Promise<GrantedSnapshot> {
  const { snapshots } = await readState(installation, sessionId, 'backup');
  const found = snapshots?.disks.find((snapshot) => snapshot.id === id);
  if (found) return found;
  throw new HoldfastError('internal', `Session ${sessionId} took no snapshot ${id}.`, { target: id });
}
