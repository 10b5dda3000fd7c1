import type { SnapshotInfo } from '../../azure/index.ts';
import type { Installation } from '../../installation/index.ts';
import { type Consistency, HoldfastError, isHoldfastError } from '../../model/index.ts';
import { enterStep, warn } from '../live.ts';
import { type Looked, notYet, seen } from '../look.ts';
import { deleteSnapshot } from '../snapshots/delete.ts';
import { tagsOf } from '../snapshots/prepare.ts';
import {
  type BackupState,
  need,
  type PreparedSnapshots,
  readState,
  type SnapshotSetState,
  updateState,
} from '../state.ts';

/** Snapshots of one set that are further apart than this are taken once more. */
const MAX_SPREAD_MS = 60_000;
/** A snapshot that was asked for and cannot be found for this long was not made. */
const APPEARS_MS = 120_000;

interface Which {
  readonly sessionId: string;
  readonly set: number;
}

/** Starts the snapshot of one disk, unless an earlier run of this step did. */
export async function snapshotDisk(
  installation: Installation,
  which: Which & { readonly disk: number },
): Promise<void> {
  const { sessionId, set, disk: number } = which;
  await enterStep(installation, sessionId, 'snapshot');
  const state = await readState(installation, sessionId, 'backup');
  const prepared = preparedOf(state, sessionId);
  const disk = prepared.disks.find((entry) => entry.number === number)?.disk;
  if (!disk)
    throw new HoldfastError('internal', `Session ${sessionId} has no disk ${number}.`, { target: sessionId });
  const place = placeOf(prepared, which, { number, disk });
  const id = installation.azure.snapshots.idOf(place);
  await installation.catalog.intents.write(sessionId, 'snapshot', id, { set });
  if (await installation.azure.snapshots.find(id)) return;
  const tags = await tagsOf(installation, sessionId, set, state.request, prepared);
  await installation.azure.snapshots.startCreate({
    ...place,
    location: disk.location,
    tags: tags.get(number) ?? {},
    sku: prepared.sku,
  });
}

/**
 * Looks whether the set is complete and readable, and keeps its facts.
 *
 * @param which.final accept the set as it is, with a warning, instead of asking for another
 * @throws `snapshotFailed` when a snapshot was not made, or can never be read
 */
export async function watchSnapshots(
  installation: Installation,
  which: Which & { readonly final: boolean },
): Promise<Looked<{ consistency: Consistency; retake: string | null }>> {
  const { sessionId, set, final } = which;
  await enterStep(installation, sessionId, 'snapshot');
  const state = await readState(installation, sessionId, 'backup');
  if (state.request.copyOf !== null) {
    // They are another session's, and complete.
    const { consistency } = need(state.snapshots, 'the snapshot set', sessionId);
    return seen({ consistency, retake: null });
  }
  const opened = preparedOf(state, sessionId);
  const infos: { number: number; info: SnapshotInfo }[] = [];
  for (const { number, disk } of opened.disks) {
    const place = placeOf(opened, which, { number, disk });
    const id = installation.azure.snapshots.idOf(place);
    const info = await installation.azure.snapshots.find(id);
    if (!info) await checkAppears(installation, sessionId, { id, name: place.name });
    else if (info.notDownloadable && !info.notDownloadable.waiting) {
      throw new HoldfastError(
        'snapshotFailed',
        `Snapshot ${info.name} cannot be read: ${info.notDownloadable.why}.`,
        { target: id },
      );
    }
    if (!info?.downloadable) return notYet(`snapshot of disk ${number}`);
    infos.push({ number, info });
  }
  const disks = infos.map(({ number, info }) => factsOf(number, info));
  const times = disks.map(({ takenAt }) => Date.parse(takenAt));
  const problem = (await diskListChanged(installation, opened)) ?? spreadOf(times);
  if (problem !== null && !final) return seen({ consistency: 'perDisk', retake: problem });
  if (problem !== null)
    await warn(installation, sessionId, `The snapshots do not show one moment: ${problem}.`);
  const deallocated = opened.configuration.machine.powerState === 'deallocated';
  const consistency = problem === null && (disks.length === 1 || deallocated) ? 'atomic' : 'perDisk';
  const takenAt = new Date(Math.min(...times)).toISOString();
  const snapshots: SnapshotSetState = { set, consistency, takenAt, disks };
  await updateState(installation, sessionId, 'backup', (current) => ({ ...current, snapshots }));
  if (state.request.makes === 'snapshot') await keepSnapshots(installation, sessionId, snapshots);
  return seen({ consistency, retake: null });
}

/** Where a disk's snapshot is made, and under which name: the same in each run of a step. */
function placeOf(
  { configuration, resourceGroup }: PreparedSnapshots,
  { sessionId, set }: Which,
  { number, disk }: PreparedSnapshots['disks'][number],
) {
  const { subscriptionId } = configuration.machine;
  const name = `holdfast-${sessionId}-${set}-${number}`;
  return { subscriptionId, resourceGroup, name, sourceDiskId: disk.id };
}

/** What was prepared, by a backup or by a session that makes snapshots alone. */
const preparedOf = ({ opened, prepared }: BackupState, sessionId: string): PreparedSnapshots =>
  need(opened ?? prepared, 'what openSession found', sessionId);

/** Hands a set over to retention: from now on its tags keep account of it, not the session. May be repeated. */
export async function keepSnapshots(
  { catalog }: Installation,
  sessionId: string,
  { disks }: { readonly disks: readonly { readonly id: string }[] },
): Promise<void> {
  const kept = new Set(disks.map(({ id }) => id.toLowerCase()));
  for (const { key } of await catalog.intents.list(sessionId, 'snapshot')) {
    if (kept.has(key.toLowerCase())) await catalog.intents.resolve(sessionId, 'snapshot', key);
  }
}

async function checkAppears(
  installation: Installation,
  sessionId: string,
  { id, name }: { readonly id: string; readonly name: string },
): Promise<void> {
  const intent = (await installation.catalog.intents.list(sessionId, 'snapshot')).find(
    ({ key }) => key === id,
  );
  const waited = installation.clock.now().getTime() - Date.parse(intent?.writtenAt ?? '');
  if (waited < APPEARS_MS) return;
  throw new HoldfastError(
    'snapshotFailed',
    `Snapshot ${name} was asked for and does not exist; Azure refused it afterwards.`,
    {
      target: id,
    },
  );
}

function factsOf(number: number, info: SnapshotInfo): SnapshotSetState['disks'][number] {
  const { id, familyId, sourceUniqueId, sizeBytes, timeCreated } = info;
  if (familyId === null || sourceUniqueId === null || sizeBytes === null || timeCreated === null) {
    throw new HoldfastError(
      'snapshotFailed',
      `Snapshot ${info.name} does not say its family, source, size and time.`,
      { target: id },
    );
  }
  return { number, id, familyId, sourceUniqueId, sizeBytes, takenAt: timeCreated };
}

function spreadOf(times: readonly number[]): string | null {
  const spread = Math.max(...times) - Math.min(...times);
  return spread > MAX_SPREAD_MS ? `they were taken over ${Math.round(spread / 1000)} seconds` : null;
}

/** A machine that is gone by now is no reason to give up: its snapshots exist. */
async function diskListChanged(
  installation: Installation,
  opened: PreparedSnapshots,
): Promise<string | null> {
  try {
    const now = await installation.azure.machines.readConfiguration(opened.configuration.machine.armId);
    const idsNow = now.disks.map(({ uniqueId }) => uniqueId).sort();
    const idsThen = opened.configuration.disks.map(({ uniqueId }) => uniqueId).sort();
    return idsNow.join() === idsThen.join() ? null : 'disks were attached or detached meanwhile';
  } catch (error) {
    if (isHoldfastError(error, 'machineGone')) return null;
    throw error;
  }
}

/** Removes a set that came out wrong. What cannot be removed now stays an intent of the session, and goes at its end. */
export async function discardSnapshots(installation: Installation, { sessionId, set }: Which): Promise<void> {
  const { intents } = installation.catalog;
  for (const { key, detail } of await intents.list(sessionId, 'snapshot')) {
    if (detail['set'] !== set) continue;
    if (await deleteSnapshot(installation, sessionId, key)) await intents.resolve(sessionId, 'snapshot', key);
  }
}
