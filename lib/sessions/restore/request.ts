import type { Installation } from '../../installation/index.ts';
import {
  HoldfastError,
  type Mover,
  sessionId as newSessionId,
  type RestorePoint,
  type Session,
} from '../../model/index.ts';
import { openChain, readPoint } from '../../repository/index.ts';
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
    throw new HoldfastError(
      'invalidInput',
      `Restore point ${asked.restorePoint} has no disk ${missing.join(', ')}; it has ${has}.`,
      {
        target: 'disks',
      },
    );
  }
  const chain = await openChain(await installation.repository(), chainId);
  const { machine } = (await readPoint(chain, sequence)).manifest.configuration;
  return {
    point: row.point,
    subscriptionId: machine.subscriptionId,
    resourceGroup: asked.resourceGroup ?? machine.resourceGroup,
    location: machine.location,
  };
}

/** Starts a restore of disks to new managed disks. The source is never touched. */
export async function requestRestore(
  installation: Installation,
  instances: Instances,
  asked: RestoreAsked,
): Promise<Session> {
  const { point, subscriptionId, resourceGroup, location } = await previewRestore(installation, asked);
  const id = newSessionId(installation.clock.now());
  return startSession(installation, instances, {
    id,
    orchestrator: 'restoreDisks',
    reason: 'request',
    machine: { id: point.machineId, name: point.machineName },
    parentId: null,
    policyId: null,
    request: {
      kind: 'restore',
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
}
