import { z } from 'zod';
import type { SnapshotInfo } from '../../../lib/azure/index.ts';
import {
  type Machine,
  protectionSchema,
  type RestorePoint,
  restorePointName,
  type Session,
} from '../../../lib/model/index.ts';
import { type BackupRequest, requestBackup } from '../../../lib/sessions/requests.ts';
import type { Lab } from '../lab.ts';

export type ProtectionInput = z.input<typeof protectionSchema>;

/** Asks for a backup, or for snapshots alone, as a policy or a person would, and runs it to its end. */
export async function ask(
  lab: Lab,
  machine: Machine,
  protection: ProtectionInput = {},
  more: Partial<BackupRequest> = {},
): Promise<Session> {
  const { id } = await requestBackup(lab.installation, lab.instances, {
    machine,
    protection: protectionSchema.parse({ mover: 'inline', ...protection }),
    reason: 'test',
    policyId: null,
    parentId: null,
    ...more,
  });
  await lab.run();
  return lab.session(id);
}

/** All incremental snapshots of a machine, by whomever, wherever in its subscription; in order of their time. */
export async function snapshotsOf(lab: Lab, machine: Machine): Promise<SnapshotInfo[]> {
  const found: SnapshotInfo[] = [];
  const scope = { subscriptionId: machine.subscriptionId };
  for await (const info of lab.installation.azure.snapshots.list(scope))
    if (info.tags['holdfast-machine'] === machine.id) found.push(info);
  return found.sort((a, b) => ((a.timeCreated ?? '') < (b.timeCreated ?? '') ? -1 : 1));
}

export async function pointOf(lab: Lab, { restorePoint, status, error }: Session): Promise<RestorePoint> {
  const row =
    restorePoint && (await lab.installation.catalog.points.get(restorePoint.chainId, restorePoint.sequence));
  if (!row) throw new Error(`The session made no restore point: ${status}, ${error?.message}`);
  return row.point;
}

export const reasonsOf = async (lab: Lab, session: Session): Promise<string[]> =>
  (await pointOf(lab, session)).disks.map(({ readReason }) => readReason);

export const diskIds = async (lab: Lab, { armId }: Machine): Promise<string[]> =>
  (await lab.installation.azure.machines.readConfiguration(armId)).disks.map(({ id }) => id);

/** The bytes of each disk of a restore point, restored to new disks, by disk number. */
export async function restored(lab: Lab, session: Session): Promise<Map<number, Buffer>> {
  const point = await pointOf(lab, session);
  const done = await lab.restore({ restorePoint: restorePointName(point) });
  if (done.status !== 'succeeded')
    throw new Error(`The restore ended ${done.status}: ${done.error?.message}`);
  const group = /^(.*\/resourceGroups\/)[^/]+/i.exec(point.disks[0]?.snapshotId ?? '')?.[1] ?? '';
  const bytes = new Map<number, Buffer>();
  for (const { number, name } of done.disks)
    bytes.set(number, await lab.bytes(`${group}protected/providers/Microsoft.Compute/disks/${name}`));
  return bytes;
}
