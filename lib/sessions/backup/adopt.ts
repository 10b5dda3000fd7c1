import type { ChainOwner } from '../../catalog/index.ts';
import type { Installation } from '../../installation/index.ts';
import { HoldfastError } from '../../model/index.ts';
import {
  type Chain,
  decidedSequences,
  describePoint,
  encodeManifest,
  type PointManifest,
  readManifest,
  readPointState,
  retentionOf,
  type StoredManifest,
} from '../../repository/index.ts';

/**
 * Brings the catalog up to the repository, which is the truth: points that were committed and not recorded, and points that
 * were removed. Returns the newest point, which the next one is made from.
 *
 * @throws `repositoryMismatch` when the repository lacks, or shows otherwise, the newest point that the catalog remembers: it
 * was rolled back or replaced
 */
export async function adoptPoints(
  installation: Installation,
  chain: Chain,
  owner: ChainOwner,
): Promise<PointManifest | null> {
  const { catalog, clock } = installation;
  const key = { repositoryId: chain.repository.id, machineId: chain.machine.id };
  const head = (await catalog.chains.get(key))?.head ?? null;
  if (head) await checkHead(chain, head);
  const known = new Map(
    (await catalog.points.list(chain.id, { removed: true })).map((row) => [row.point.sequence, row]),
  );
  let newest: StoredManifest<PointManifest> | null = null;
  // Newest first: what the catalog knows below the newest point needs no reading.
  for (const sequence of (await decidedSequences(chain)).toReversed()) {
    const row = known.get(sequence);
    if (newest !== null && row) continue;
    const stored = await readManifest(chain, sequence);
    if (stored?.manifest.state === 'void' && row?.removedAt === null) {
      await catalog.points.markRemoved(chain.id, sequence, clock.now());
    }
    if (stored?.manifest.state !== 'point') continue;
    const point: StoredManifest<PointManifest> = { ...stored, manifest: stored.manifest };
    newest ??= point;
    if (!row) await addPoint(installation, chain, point);
  }
  if (newest && newest.manifest.sequence > (head?.sequence ?? 0))
    await recordHead(installation, chain, owner, newest);
  return newest?.manifest ?? null;
}

/** Records a committed point in the catalog. `bases`: whether its snapshots are kept as such. May be repeated. */
export async function recordPoint(
  installation: Installation,
  chain: Chain,
  owner: ChainOwner,
  stored: StoredManifest<PointManifest>,
  options: { readonly bases: boolean } = { bases: true },
): Promise<void> {
  await addPoint(installation, chain, stored);
  await recordHead(installation, chain, owner, stored, options);
}

async function addPoint(
  installation: Installation,
  chain: Chain,
  { manifest, tag }: StoredManifest<PointManifest>,
): Promise<void> {
  const state = await readPointState(chain, manifest.sequence);
  const { locks } = await installation.repositoryById(chain.repository.id);
  const until = (await locks?.heldUntil(chain, manifest.sequence)) ?? null;
  await installation.catalog.points.add(describePoint(manifest), encodeManifest(manifest), tag, {
    retention: retentionOf(manifest, state),
    stateCounter: state?.counter ?? 0,
    repositoryId: chain.repository.id,
    immutableUntil: until?.toISOString() ?? null,
  });
}

async function recordHead(
  installation: Installation,
  chain: Chain,
  owner: ChainOwner,
  { manifest, tag }: StoredManifest<PointManifest>,
  options: { readonly bases: boolean } = { bases: true },
): Promise<void> {
  const bases = (options.bases ? manifest.disks : []).map(({ uniqueId, snapshotId, snapshotFamilyId }) => [
    uniqueId,
    { snapshotId, familyId: snapshotFamilyId },
  ]);
  const key = { repositoryId: chain.repository.id, machineId: chain.machine.id };
  await installation.catalog.chains.advance(
    key,
    owner,
    { sequence: manifest.sequence, tag },
    Object.fromEntries(bases),
  );
}

async function checkHead(chain: Chain, head: { sequence: number; tag: string }): Promise<void> {
  const stored = await readManifest(chain, head.sequence);
  const same = stored?.manifest.state === 'void' || stored?.tag === head.tag;
  if (same) return;
  throw new HoldfastError(
    'repositoryMismatch',
    `Restore point ${chain.id}/${head.sequence} ${stored ? 'is not the one that was committed' : 'is missing'}: the repository was rolled back or replaced. ` +
      'Nothing was written. Restore the container, or take it as it is with a rescan.',
    { target: `${chain.id}/${head.sequence}` },
  );
}
