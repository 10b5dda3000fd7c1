import { missingPoints } from '../../chain/index.ts';
import type { Installation } from '../../installation/index.ts';
import { isHoldfastError } from '../../model/index.ts';
import { decidedSequences, openChain, type Repository } from '../../repository/index.ts';
import { warn } from '../live.ts';

/** Warnings that one session gives; beyond it points are marked, not listed. */
const LISTED = 20;

/**
 * Compares what the catalog knows with what a repository lists: restore points whose manifests are gone, though nobody here
 * removed them, are marked as missing, and told. One that is there again is marked so. Returns how many are missing.
 */
export async function findMissing(
  installation: Installation,
  sessionId: string,
  repository: Repository,
): Promise<number> {
  const { points } = installation.catalog;
  let missing = 0;
  for await (const chainId of knownChains(installation)) {
    // First what is known, then what is there: a point that is committed in between is not missed.
    const rows = await points.list(chainId);
    if ((rows[0]?.repositoryId ?? repository.id) !== repository.id) continue;
    const found = await sequencesOf(repository, chainId);
    const gone = new Set(
      missingPoints(
        rows.map(({ point }) => point.sequence),
        found,
      ),
    );
    for (const { point, missing: before } of rows) {
      const now = gone.has(point.sequence);
      if (now === before) continue;
      await points.markMissing(chainId, point.sequence, now);
      if (now) await tell(installation, sessionId, `${chainId}/${point.sequence}`, missing++ < LISTED);
    }
  }
  return missing;
}

async function* knownChains({ catalog }: Installation): AsyncIterable<string> {
  for (const machineId of await catalog.points.machines()) yield* await catalog.points.chainsOf(machineId);
}

/** None when the whole chain is gone. */
async function sequencesOf(repository: Repository, chainId: string): Promise<ReadonlySet<number>> {
  try {
    return new Set(await decidedSequences(await openChain(repository, chainId)));
  } catch (error) {
    if (isHoldfastError(error, 'missingObject')) return new Set();
    throw error;
  }
}

async function tell(
  installation: Installation,
  sessionId: string,
  name: string,
  listed: boolean,
): Promise<void> {
  const problem = 'its manifest is gone: it was removed outside of Holdfast';
  if (listed) await warn(installation, sessionId, `Restore point ${name}: ${problem}.`);
  installation.telemetry.event('holdfast.repository.damaged', {
    sessionId,
    object: name,
    problem,
    points: 1,
  });
}
