import type { Installation } from '../../installation/index.ts';
import { HoldfastError, type JobSecrets, type JobSpec } from '../../model/index.ts';
import { encodeChainKeys, openChain } from '../../repository/index.ts';
import { type GrantedSnapshot, readAccess, writeAccess } from '../access.ts';
import { readState } from '../state.ts';

/** Storage SAS of a job live this long; the worker renews them. */
const SAS_SECONDS = 3600;

/** What a job needs to be done: made when it is claimed, held in memory, never written down. */
export async function secretsOf(
  installation: Installation,
  sessionId: string,
  spec: JobSpec,
): Promise<JobSecrets> {
  const { azure, settings } = installation;
  const chain = await openChain(await installation.repository(), spec.chain.id);
  const data = await azure.repositorySas.forWorker(settings.HOLDFAST_DATA_CONTAINER, SAS_SECONDS);
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
  const baseId = spec.kind === 'plan' ? spec.baseSnapshotId : null;
  return {
    sourceUrl: await readAccess(installation, sessionId, source, 'source'),
    // One family: that is what makes it a base.
    baseUrl:
      baseId === null
        ? null
        : await readAccess(installation, sessionId, { id: baseId, familyId: source.familyId }, 'base'),
    targetUrl: null,
  };
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
