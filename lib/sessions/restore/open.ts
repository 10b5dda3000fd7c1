import { DiskUploads } from '../../azure/index.ts';
import type { Installation } from '../../installation/index.ts';
import { type Disk, HoldfastError } from '../../model/index.ts';
import { createLease, openChain, type PointManifest, readPoint } from '../../repository/index.ts';
import { enterStep } from '../live.ts';
import { type RestoreState, readState, updateState } from '../state.ts';

export type OpenedRestore = NonNullable<RestoreState['opened']>;

/** Opens a restore: finds the restore point and says which disks are to be made, under which names. May run again. */
export async function openRestore(installation: Installation, sessionId: string): Promise<OpenedRestore> {
  await enterStep(installation, sessionId, 'starting');
  const { request, opened: known } = await readState(installation, sessionId, 'restore');
  if (known) return known;
  const repository = await installation.repository(request.repository);
  const chain = await openChain(repository, request.chainId);
  // First the lease, then the manifest: what is removed in between is noticed.
  const by = `restore ${sessionId}`;
  const { name: lease } = await createLease(repository, {
    kind: 'reader',
    chain: chain.id,
    sequence: request.sequence,
    by,
  });
  await installation.catalog.intents.write(sessionId, 'lease', lease);
  const { manifest } = await readPoint(chain, request.sequence);
  const wanted = chosenDisks(manifest, request.disks);
  const { subscriptionId, resourceGroup } = request;
  const disks = wanted.map(({ number, name, sizeBytes, uniqueId }) => {
    // A disk's name may have 80 characters; the session's last six make it one of its own.
    const target = `${`${request.namePrefix}${name}`.slice(0, 73)}-${sessionId.slice(-6)}`;
    const source = sourceOf(manifest, uniqueId);
    return {
      number,
      name: target,
      sizeBytes,
      targetId: DiskUploads.idOf({ subscriptionId, resourceGroup, name: target }),
      source,
    };
  });
  const opened: OpenedRestore = { pool: request.location.toLowerCase(), lease, disks };
  await updateState(installation, sessionId, 'restore', (state) => ({ ...state, opened }));
  await installation.catalog.sessions.update(sessionId, (session) => ({
    ...session,
    disks: wanted.map((disk, i) => ({
      name: disks[i]?.name ?? disk.name,
      number: disk.number,
      sizeBytes: disk.sizeBytes,
      plannedBytes: disk.allocatedBytes,
      doneBytes: 0,
      readBytes: 0,
      storedBytes: 0,
      readReason: null,
    })),
  }));
  return opened;
}

function chosenDisks(
  { disks, chain, sequence }: PointManifest,
  numbers: readonly number[] | null,
): PointManifest['disks'] {
  if (numbers === null) return disks;
  const chosen = disks.filter(({ number }) => numbers.includes(number));
  const missing = numbers.filter((number) => !disks.some((disk) => disk.number === number));
  if (missing.length === 0) return chosen;
  throw new HoldfastError(
    'invalidInput',
    `Restore point ${chain}/${sequence} has no disk ${missing.join(', ')}; it has ${disks.map(({ number }) => number).join(', ')}.`,
    { target: 'disks' },
  );
}

function sourceOf({ configuration, chain, sequence }: PointManifest, uniqueId: string): Disk {
  const source = configuration.disks.find((disk) => disk.uniqueId === uniqueId);
  if (source) return source;
  throw new HoldfastError(
    'corruptObject',
    `The manifest of ${chain}/${sequence} does not describe disk ${uniqueId}.`,
    {
      target: `${chain}/${sequence}`,
    },
  );
}
