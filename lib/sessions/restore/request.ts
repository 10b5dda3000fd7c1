import type { Installation } from '../../installation/index.ts';
import {
  HoldfastError,
  type Mover,
  sessionId as newSessionId,
  type RestorePoint,
  type Session,
} from '../../model/index.ts';
import { openChain, readPoint } from '../../repository/index.ts';
import { note } from '../live.ts';
import type { Instances } from '../ports.ts';
import { startSession } from '../requests.ts';

export interface RestoreAsked {
  /** `<chain>/<sequence>`. */
  readonly restorePoint: string;
  /** Numbers in the chain; all when left out. */
  readonly disks?: readonly number[] | undefined;
  /** Where the disks are made; the machine's own group when left out. */
  readonly resourceGroup?: string | undefined;
  readonly namePrefix?: string | undefined;
  readonly mover?: Mover | undefined;
}

/** What a restore would make, checked as far as it can be without making anything. */
export interface RestorePreview {
  readonly point: RestorePoint;
  /** The name of the repository that holds it. */
  readonly repository: string;
  readonly resourceGroup: string;
  readonly subscriptionId: string;
  readonly location: string;
}

/** Checks a request for a restore. `notFound` when there is no such point, `invalidInput` when it has no such disk. */
export async function previewRestore(
  installation: Installation,
  asked: RestoreAsked,
): Promise<RestorePreview> {
  const [, chainId, number] = /^([0-9a-z]{16})\/(\d{1,8})$/.exec(asked.restorePoint) ?? [];
  const sequence = Number(number);
  const row = chainId === undefined ? null : await installation.catalog.points.get(chainId, sequence);
  if (!chainId || !row || row.removedAt !== null) {
    throw new HoldfastError(
      'notFound',
      `There is no restore point ${asked.restorePoint}; "point list" shows those there are.`,
      {
        target: 'restorePoint',
      },
    );
  }
  const missing = (asked.disks ?? []).filter(
    (wanted) => !row.point.disks.some((disk) => disk.number === wanted),
  );
  if (missing.length > 0) {
    const has = row.point.disks.map((disk) => disk.number).join(', ');
    const without = leftOutText(row.point);
    throw new HoldfastError(
      'invalidInput',
      `Restore point ${asked.restorePoint} has no disk ${missing.join(', ')}; it has ${has}.${without === null ? '' : ` ${without}`}`,
      {
        target: 'disks',
      },
    );
  }
  const repository = await installation.repositoryById(row.repositoryId);
  const chain = await openChain(repository, chainId);
  const { machine } = (await readPoint(chain, sequence)).manifest.configuration;
  return {
    point: row.point,
    repository: repository.place.id,
    subscriptionId: machine.subscriptionId,
    resourceGroup: asked.resourceGroup ?? machine.resourceGroup,
    location: machine.location,
  };
}

/** What of the machine a restore point does not hold; null: nothing is missing. */
function leftOutText({ leftOut = [] }: RestorePoint): string | null {
  if (leftOut.length === 0) return null;
  const each = leftOut.map(({ name, why }) => `${name} (${why})`).join(', ');
  return `These disks were left out when it was made, and cannot be restored from it: ${each}.`;
}

/** Starts a restore of disks to new managed disks. The source is never touched. */
export async function requestRestore(
  installation: Installation,
  instances: Instances,
  asked: RestoreAsked,
): Promise<Session> {
  const { point, repository, subscriptionId, resourceGroup, location } = await previewRestore(
    installation,
    asked,
  );
  const id = newSessionId(installation.clock.now());
  const session = await startSession(installation, instances, {
    id,
    orchestrator: 'restoreDisks',
    reason: 'request',
    machine: { id: point.machineId, name: point.machineName },
    parentId: null,
    policyId: null,
    request: {
      kind: 'restore',
      repository,
      chainId: point.chainId,
      sequence: point.sequence,
      disks: asked.disks === undefined ? null : [...asked.disks],
      subscriptionId,
      resourceGroup,
      location,
      namePrefix: asked.namePrefix ?? 'restored-',
      mover: asked.mover ?? 'worker',
    },
  });
  const without = asked.disks === undefined ? leftOutText(point) : null;
  if (without !== null) await note(installation, session.id, without);
  return session;
}
