import type {
  CarriedRetention,
  LeftOutDisk,
  MachineConfiguration,
  MoveResult,
  RestorePoint,
} from '../model/index.ts';
import { HoldfastError } from '../model/index.ts';
import { type Chain, chainData } from './chain.ts';
import { type Claim, claimLost, holdClaim } from './claim.ts';
import { type CommittedDisk, commitDisk, type DiskToCommit } from './commitDisk.ts';
import { describePoint, type ManifestDisk, type PointManifest } from './manifest.ts';
import { MapObjects } from './mapObjects.ts';
import { decide, readManifest } from './points.ts';
import { FORMAT_VERSION } from './sealedObject.ts';
import { Trees } from './tree.ts';

export interface CommitPoint {
  readonly claim: Claim;
  readonly policyId: string | null;
  readonly takenAt: Date;
  readonly now: Date;
  readonly consistency: RestorePoint['consistency'];
  readonly configuration: MachineConfiguration;
  /** What the point carries of retention; null: nothing says how long it stays. */
  readonly retention: CarriedRetention | null;
  /** The machine's disks; one that is not named here is no part of the point. */
  readonly disks: readonly DiskToCommit[];
  /** Disks of the machine that are no part of the point, and why. */
  readonly leftOut?: readonly LeftOutDisk[];
  /** Called with the manifest that is about to be created: in an immutable repository locks what it depends on. */
  readonly protect?:
    | ((chain: Chain, manifest: PointManifest, signal?: AbortSignal) => Promise<unknown>)
    | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface CommittedPoint {
  readonly manifest: PointManifest;
  /** Names this version of the manifest: the remembered head of the chain. */
  readonly tag: string;
  readonly restorePoint: RestorePoint;
}

/**
 * Commits a restore point: checks the shards' map objects and packs, writes the trees, and creates the manifest, which is
 * the one moment at which the point begins to exist. May be called again: the same session and epoch get the point that
 * their first call committed. Throws `claimLost` when the number is void, another's, or claimed under another epoch.
 */
export async function commitPoint(chain: Chain, request: CommitPoint): Promise<CommittedPoint> {
  const { claim, signal } = request;
  const decided = await readManifest(chain, claim.sequence);
  if (decided) return ours(chain, claim, decided);
  const { parent } = await holdClaim(chain, claim, 'exactly');
  const parentManifest = parent === null ? null : await readManifest(chain, parent);
  if (parent !== null && !parentManifest) {
    throw new HoldfastError('missingObject', `The parent ${chain.id}/${parent} has no manifest.`, {
      target: `${chain.id}/${parent}`,
    });
  }
  const context = { chain, claim, trees: new Trees(chain), maps: new MapObjects(chainData(chain)), signal };
  const disks: ManifestDisk[] = [];
  for (const disk of request.disks) {
    const before = parentManifest?.manifest.disks.find(({ number }) => number === disk.number) ?? null;
    disks.push(manifestDisk(disk, await commitDisk(context, disk, before)));
  }
  const given = parentManifest?.manifest.diskNumbers ?? [];
  const numbers = new Map(given.map(({ uniqueId, number }) => [uniqueId, number]));
  for (const { uniqueId, number } of disks) numbers.set(uniqueId, number);
  const manifest: PointManifest = {
    format: FORMAT_VERSION,
    state: 'point',
    chain: chain.id,
    sequence: claim.sequence,
    session: claim.session,
    epoch: claim.epoch,
    installation: claim.installation,
    parent,
    policyId: request.policyId,
    takenAt: request.takenAt.toISOString(),
    committedAt: request.now.toISOString(),
    consistency: request.consistency,
    configuration: request.configuration,
    diskNumbers: [...numbers].map(([uniqueId, number]) => ({ uniqueId, number })),
    disks,
    ...(request.leftOut?.length ? { leftOut: [...request.leftOut] } : {}),
    retention: request.retention,
  };
  await request.protect?.(chain, manifest, signal);
  signal?.throwIfAborted();
  await holdClaim(chain, claim, 'exactly');
  return ours(chain, claim, await decide(chain, manifest));
}

/** The point that decides the number, if this session committed it under this epoch. */
function ours(
  chain: Chain,
  claim: Claim,
  { manifest, tag }: { manifest: PointManifest | { state: 'void' }; tag: string },
): CommittedPoint {
  if (manifest.state === 'void') throw claimLost(chain, claim.sequence, 'it was ended as void');
  if (manifest.session !== claim.session || manifest.epoch !== claim.epoch) {
    throw claimLost(
      chain,
      claim.sequence,
      `session ${manifest.session}, epoch ${manifest.epoch}, committed it`,
    );
  }
  return { manifest, tag, restorePoint: describePoint(manifest) };
}

function manifestDisk(disk: DiskToCommit, { tree, maps, presentBytes }: CommittedDisk): ManifestDisk {
  const sum = (pick: (shard: MoveResult) => number) =>
    disk.shards.reduce((total, shard) => total + pick(shard), 0);
  const {
    number,
    uniqueId,
    name,
    role,
    lun,
    sizeBytes,
    sectorSize,
    snapshotId,
    snapshotFamilyId,
    readReason,
  } = disk;
  return {
    number,
    uniqueId,
    name,
    role,
    lun,
    sizeBytes,
    sectorSize,
    allocatedBytes: presentBytes,
    readBytes: disk.sampledBytes + sum((shard) => shard.readBytes),
    storedBytes: sum((shard) => shard.storedBytes),
    readReason,
    snapshotId,
    snapshotFamilyId,
    tree,
    maps: [...maps],
  };
}
