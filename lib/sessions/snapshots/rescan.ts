import { isDiskRestorePoint } from '../../azure/index.ts';
import type { Installation } from '../../installation/index.ts';
import { isHoldfastError, toFailure } from '../../model/index.ts';
import { openChain, type Repository } from '../../repository/index.ts';
import { enterStep, warn } from '../live.ts';
import { updateState } from '../state.ts';
import type { SnapshotSet } from './sets.ts';
import { surveySnapshots } from './world.ts';

const LISTED = 30;
/** When orphans go is of no interest here. */
const NEVER = 36_500;

/**
 * Finds our snapshots by their tags, and takes up what they say: which chain a machine's backups go on with, when the catalog
 * does not know it any more. Says what is incomplete, what is sealed by another key, and which bases were deleted outside the
 * product. Sets themselves are kept nowhere: their tags are what is known of them.
 */
export async function rescanSnapshots(installation: Installation, sessionId: string): Promise<void> {
  await enterStep(installation, sessionId, 'rescan');
  const { sets, world, troubles } = await surveySnapshots(installation, NEVER);
  for (const trouble of troubles) await warn(installation, sessionId, trouble);
  for (const text of problemsOf(sets).slice(0, LISTED)) await warn(installation, sessionId, text);
  const adopted = await adoptChains(installation, sessionId, sets);
  await tellMissingBases(installation, sessionId);
  await updateState(installation, sessionId, 'snapshotRescan', (state) => ({
    ...state,
    sets: sets.length,
    orphanedSets: sets.filter(({ machineId }) => !world.machines.has(machineId)).length,
    chains: adopted,
  }));
}

function problemsOf(sets: readonly SnapshotSet[]): string[] {
  return sets.flatMap(({ name, obstacle, missingDisks }) => {
    if (obstacle === 'otherKey')
      return [`Snapshot set ${name} is sealed by another key than this installation's.`];
    if (obstacle === 'partsMissing')
      return [
        `Snapshot set ${name} is incomplete: snapshots of it are gone, and what it said of itself with them.`,
      ];
    return missingDisks.length > 0
      ? [`Snapshot set ${name} is incomplete: the snapshots of disks ${missingDisks.join(', ')} are gone.`]
      : [];
  });
}

/** Gives machines that the catalog has no chain for the one that their newest snapshots name, if the repository has it. */
async function adoptChains(
  installation: Installation,
  sessionId: string,
  sets: readonly SnapshotSet[],
): Promise<number> {
  const { catalog } = installation;
  let adopted = 0;
  const seen = new Set<string>();
  const repositories = await openRepositories(installation, sessionId);
  // Newest first.
  for (const { metadata, machineId } of sets) {
    const chain = metadata?.chain;
    if (!chain) continue;
    const key = { repositoryId: chain.repositoryId, machineId };
    const name = `${key.repositoryId}/${machineId}`;
    if (seen.has(name)) continue;
    seen.add(name);
    if (await catalog.chains.get(key)) continue;
    const why = await obstacleTo(repositories.get(chain.repositoryId), chain.chainId);
    if (why === null) {
      await catalog.chains.adopt(key, chain.chainId);
      adopted++;
    } else
      await warn(
        installation,
        sessionId,
        `Chain ${chain.chainId} of machine ${machineId} was not taken up: ${why}`,
      );
  }
  return adopted;
}

/** The repositories of the installation by their own ids, which the catalog may have lost. */
async function openRepositories(
  installation: Installation,
  sessionId: string,
): Promise<ReadonlyMap<string, Repository>> {
  const opened = new Map<string, Repository>();
  for (const { id } of await installation.repositoryPlaces()) {
    try {
      const repository = await installation.repository(id);
      opened.set(repository.id, repository);
    } catch (error) {
      await warn(installation, sessionId, `Repository ${id} was left out: ${toFailure(error).message}`);
    }
  }
  return opened;
}

async function obstacleTo(repository: Repository | undefined, chainId: string): Promise<string | null> {
  if (!repository) return 'its repository is none of this installation that can be opened.';
  try {
    await openChain(repository, chainId);
    return null;
  } catch (error) {
    if (isHoldfastError(error) && !error.retryable) return error.message;
    throw error;
  }
}

async function tellMissingBases(installation: Installation, sessionId: string): Promise<void> {
  for (const { machineId, bases } of await installation.catalog.chains.list()) {
    for (const { snapshotId } of Object.values(bases)) {
      // A restore point of the machine was removed on purpose: it is no base.
      if (isDiskRestorePoint(snapshotId) || (await installation.azure.snapshots.find(snapshotId))) continue;
      await warn(
        installation,
        sessionId,
        `Snapshot ${snapshotId}, the base of the next incremental of machine ${machineId}, was deleted; its disk will be read whole once.`,
      );
    }
  }
}
