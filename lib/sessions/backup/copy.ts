import type { Installation } from '../../installation/index.ts';
import { sessionId as newSessionId, type Session } from '../../model/index.ts';
import { assignDiskNumbers } from '../../repository/index.ts';
import type { Instances } from '../ports.ts';
import { requestBackup } from '../requests.ts';
import { type BackupState, findState, need, type OpenedBackup, readState, updateState } from '../state.ts';
import { takeNumber } from './take.ts';

/**
 * A copy is a backup of its own, into another repository: its own chain, claim, jobs and restore point. It takes no snapshots: it
 * reads those of the backup that it copies, so that both points show the same moment, and its changes are counted from the last
 * point of its own chain. Nothing is read from the first repository, which may be gone.
 */

/** Starts the copies that a committed backup owes. Started twice they are the same sessions. */
export async function startCopies(
  installation: Installation,
  instances: Instances,
  backupId: string,
): Promise<void> {
  const { request } = await readState(installation, backupId, 'backup');
  if (request.copies.length === 0) return;
  const session = await installation.catalog.sessions.get(backupId);
  for (const repository of request.copies) {
    await requestBackup(installation, instances, {
      machine: request.machine,
      protection: request.protection,
      // The snapshots carry the flags that they have: they are not this session's.
      flags: [],
      backupFlags: request.backupFlags,
      expiresAt: request.expiresAt,
      reset: request.reset,
      repository,
      copyOf: backupId,
      reason: `copy of ${backupId}`,
      policyId: session?.policyId ?? null,
      parentId: backupId,
      ...seedOf(backupId, repository, new Date(session?.startedAt ?? installation.clock.now())),
    });
  }
}

const seedOf = (backupId: string, repository: string, at: Date) => ({
  seed: `copy/${backupId}/${repository}`,
  at,
});

/** The id that the session of a copy has, or will have. `startedAt`: of the backup. */
export function copyId(backupId: string, repository: string, startedAt: Date): string {
  const { seed, at } = seedOf(backupId, repository, startedAt);
  return newSessionId(at, seed);
}

/** Opens a copy: what there is to read is what the other session found. */
export async function openCopy(
  installation: Installation,
  instances: Instances,
  session: Session,
  { request }: BackupState,
): Promise<OpenedBackup> {
  const source = await readState(installation, request.copyOf ?? '', 'backup');
  const found = need(source.opened, `what session ${request.copyOf} found`, session.id);
  const set = need(source.snapshots, `the snapshot set of session ${request.copyOf}`, session.id);
  const { chain, epoch, sequence, parent, parentManifest } = await takeNumber(
    installation,
    instances,
    session,
    { machine: found.configuration.machine, repository: request.repository },
  );
  // A disk's number is its chain's.
  const ids = found.disks.map(({ disk }) => disk.uniqueId);
  const numbers = assignDiskNumbers(parentManifest, ids);
  const renumbered = new Map(
    found.disks.map(({ number, disk }) => [number, numbers.get(disk.uniqueId) ?? 0] as const),
  );
  const snapshots = {
    ...set,
    disks: set.disks.map((snapshot) => ({ ...snapshot, number: renumbered.get(snapshot.number) ?? 0 })),
  };
  const disks = found.disks
    .map(({ number, disk }) => ({ number: renumbered.get(number) ?? 0, disk }))
    .sort((a, b) => a.number - b.number);
  const opened: OpenedBackup = { ...found, chainId: chain.id, epoch, sequence, parent, disks };
  await updateState(installation, session.id, 'backup', (state) => ({ ...state, opened, snapshots }));
  return opened;
}

/** Sessions whose snapshots a running copy needs still: they are not to be removed, whoever made them. */
export async function copiedSessions(installation: Installation): Promise<ReadonlySet<string>> {
  const copied = new Set<string>();
  for (const { id, kind } of await installation.catalog.sessions.running()) {
    if (kind !== 'backup') continue;
    const request = (await findState(installation, id))?.request;
    if (request?.kind === 'backup' && request.copyOf !== null) copied.add(request.copyOf);
  }
  return copied;
}
