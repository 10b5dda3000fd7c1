import { type RestorePointInfo, RestorePoints } from '../../azure/index.ts';
import { type Installation, OWNER_TAG } from '../../installation/index.ts';
import {
  type Disk,
  GiB,
  HoldfastError,
  isHoldfastError,
  type MachineConfiguration,
  type Protection,
  sameArmId,
  toFailure,
} from '../../model/index.ts';
import { enterStep, note, warn } from '../live.ts';
import { type Looked, notYet, seen } from '../look.ts';
import { MACHINE_TAG, SESSION_TAG } from '../snapshots/tags.ts';
import {
  type BackupState,
  findState,
  type Moment,
  need,
  type PreparedSnapshots,
  readState,
  updateState,
} from '../state.ts';
import { copyId } from './copy.ts';

/**
 * One moment for all disks of a machine: a VM restore point in the place of snapshots (ADR 0014). Its disks are read whole, for
 * Azure documents no differences between disk restore points; it is removed when the session ends. What a machine cannot do falls
 * back, with a warning: from `application` to `machine`, and from there to a snapshot of each disk.
 */
interface Which {
  readonly sessionId: string;
  readonly set: number;
}

type Mode = Moment['mode'];

/** A copy that was not started for so long after the backup will not be. */
const COPIES_START_MS = 30 * 60_000;
/** A restore point that is not made by then is given up. */
const LONGEST_MS = 30 * 60_000;
const TOLD: Readonly<Record<Mode, string>> = {
  application: 'The guest was not asked: Azure took no application consistent restore point',
  machine: 'The disks may show different moments: Azure took no restore point of the machine',
};

/** Starts a restore point of the machine, as its policy asks, unless an earlier run of this step did. */
export async function startRestorePoint(installation: Installation, which: Which): Promise<void> {
  const { sessionId } = which;
  await enterStep(installation, sessionId, 'snapshot');
  const state = await readState(installation, sessionId, 'backup');
  if (state.moment) return;
  const prepared = preparedOf(state, sessionId);
  const { mode, why } = chooseMoment({
    configuration: prepared.configuration,
    disks: prepared.disks.map(({ disk }) => disk),
    mode: state.request.protection.consistency.mode,
    makes: state.request.makes,
  });
  if (mode !== null) return begin(installation, which, mode);
  if (why !== null) await warn(installation, sessionId, `${TOLD.machine}: ${why}.`);
  await keepMoment(installation, sessionId, ended(which, 'machine', false));
}

/** Looks whether the restore point is made, and keeps its facts as the set of snapshots. Not taken: snapshots are to be made. */
export async function watchRestorePoint(
  installation: Installation,
  which: Which,
): Promise<Looked<{ taken: boolean }>> {
  const { sessionId } = which;
  await enterStep(installation, sessionId, 'snapshot');
  const state = await readState(installation, sessionId, 'backup');
  const moment = need(state.moment, 'the restore point', sessionId);
  if (moment.taken !== null) return seen({ taken: moment.taken });
  const waiting = notYet('restore point of the machine');
  if (moment.operation !== null) {
    const operation = await installation.azure.restorePoints.poll(moment.operation);
    if (operation.status === 'failed') return fallBack(installation, which, state, operation.failure.message);
    if (operation.status === 'running') return isLate(installation, moment) ? tooLate() : waiting;
  }
  const info = await installation.azure.restorePoints.find(moment.collectionId);
  if (info?.state === 'failed' || !info) return fallBack(installation, which, state, 'it was not made');
  if (info.state === 'making') return isLate(installation, moment) ? tooLate() : waiting;
  try {
    await keepSet(installation, which, state, info);
  } catch (error) {
    if (!isHoldfastError(error, 'snapshotFailed')) throw error;
    return fallBack(installation, which, state, error.message);
  }
  await keepMoment(installation, sessionId, ended(which, moment.mode, true));
  return seen({ taken: true });

  function tooLate(): Promise<Looked<{ taken: boolean }>> {
    return fallBack(installation, which, state, `it was not made within ${LONGEST_MS / 60_000} minutes`);
  }
}

/** Removes the restore points that a session made. For its end and the sweep: what cannot go now is tried again. */
export async function releaseRestorePoints(installation: Installation, sessionId: string): Promise<void> {
  const { azure, catalog } = installation;
  const intents = await catalog.intents.list(sessionId, 'restorePoint');
  if (intents.length === 0 || (await isCopied(installation, sessionId))) return;
  for (const { key } of intents) {
    try {
      await azure.restorePoints.startRemove(key);
      if (!(await azure.restorePoints.exists(key)))
        await catalog.intents.resolve(sessionId, 'restorePoint', key);
    } catch (error) {
      // Somebody still reads, holds a lock on it, or Azure is busy: later, by the sweep.
      if (!isHoldfastError(error)) throw error;
    }
  }
}

/** Whether a copy of the backup still reads what it read: those start when the session has ended. */
async function isCopied(installation: Installation, sessionId: string): Promise<boolean> {
  const { catalog, clock } = installation;
  const state = await findState(installation, sessionId);
  const session = await catalog.sessions.get(sessionId);
  if (state?.request.kind !== 'backup' || !session?.restorePoint) return false;
  const started = new Date(session.startedAt);
  for (const repository of (state as BackupState).request.copies) {
    const copy = await catalog.sessions.get(copyId(sessionId, repository, started));
    const ended = session.endedAt === null ? clock.now() : new Date(session.endedAt);
    if (copy ? copy.status === 'running' : clock.now().getTime() - ended.getTime() < COPIES_START_MS)
      return true;
  }
  return false;
}

/**
 * What to try first for these disks of a machine; null where snapshots are taken at once. `why`: why nothing else can be tried
 * although it would make a difference.
 */
export function chooseMoment({
  configuration: { machine },
  disks,
  mode,
  makes,
}: {
  readonly configuration: Pick<MachineConfiguration, 'machine'>;
  readonly disks: readonly Disk[];
  readonly mode: Protection['consistency']['mode'];
  readonly makes: 'snapshot' | 'backup';
}): { mode: Mode | null; why: string | null } {
  const application = mode === 'application' && machine.powerState === 'running';
  // One disk has one moment, and so have the disks of a machine that does not run.
  const oneAnyhow = disks.length === 1 || machine.powerState === 'deallocated';
  if (mode === 'crash' || (!application && oneAnyhow)) return { mode: null, why: null };
  const refuse = (why: string) => ({ mode: null, why });
  if (makes === 'snapshot')
    return refuse('snapshots that are kept are taken of each disk, and a restore point is not kept');
  const unmanaged = disks.find(({ kind }) => kind === 'unmanaged');
  if (unmanaged) return refuse(`disk ${unmanaged.name} is unmanaged`);
  const fast = disks.find(isFast);
  if (fast && !application)
    return refuse(
      `disk ${fast.name} is of type ${fast.sku}, which crash consistent restore points leave out`,
    );
  return { mode: application ? 'application' : 'machine', why: null };
}

const isFast = ({ sku }: Disk): boolean => /^(UltraSSD|PremiumV2)_/i.test(sku);

async function begin(installation: Installation, which: Which, mode: Mode): Promise<void> {
  const { azure, catalog, clock } = installation;
  const { sessionId, set } = which;
  const state = await readState(installation, sessionId, 'backup');
  const { configuration, disks, resourceGroup } = preparedOf(state, sessionId);
  const { machine } = configuration;
  const collectionId = RestorePoints.collectionIdOf(
    machine.subscriptionId,
    resourceGroup,
    `holdfast-${sessionId}-${set}-${mode}`,
  );
  await catalog.intents.write(sessionId, 'restorePoint', collectionId, { set });
  const { id: owner } = await installation.identity();
  const chosen = new Set(disks.map(({ disk }) => disk.id.toLowerCase()));
  const startedAt = clock.now().toISOString();
  try {
    const there = await azure.restorePoints.find(collectionId);
    const operation = there
      ? null
      : await azure.restorePoints.start({
          machineId: machine.armId,
          location: machine.location,
          collectionId,
          mode: mode === 'application' ? 'application' : 'crash',
          excludeDisks: configuration.disks.map(({ id }) => id).filter((id) => !chosen.has(id.toLowerCase())),
          tags: { [OWNER_TAG]: owner, [SESSION_TAG]: sessionId, [MACHINE_TAG]: machine.id },
        });
    await keepMoment(installation, sessionId, { set, mode, collectionId, operation, startedAt, taken: null });
  } catch (error) {
    if (!isHoldfastError(error) || error.retryable) throw error;
    await keepMoment(installation, sessionId, {
      set,
      mode,
      collectionId,
      operation: null,
      startedAt,
      taken: null,
    });
    await fallBack(
      installation,
      which,
      await readState(installation, sessionId, 'backup'),
      toFailure(error).message,
    );
  }
}

/** The next best thing, with a warning that says what was lost and why. */
async function fallBack(
  installation: Installation,
  which: Which,
  state: BackupState,
  why: string,
): Promise<Looked<{ taken: boolean }>> {
  const { sessionId } = which;
  const { mode } = need(state.moment, 'the restore point', sessionId);
  await warn(installation, sessionId, `${TOLD[mode]}: ${why.replace(/\.$/, '')}.`);
  await releaseRestorePoints(installation, sessionId);
  const { disks } = preparedOf(state, sessionId);
  if (mode === 'application' && disks.length > 1 && !disks.some(({ disk }) => isFast(disk))) {
    await begin(installation, which, 'machine');
    return notYet('restore point of the machine');
  }
  await keepMoment(installation, sessionId, ended(which, mode, false));
  return seen({ taken: false });
}

/** @throws `snapshotFailed` when the restore point does not show what is to be backed up */
async function keepSet(
  installation: Installation,
  { sessionId, set }: Which,
  state: BackupState,
  info: RestorePointInfo,
): Promise<void> {
  const prepared = preparedOf(state, sessionId);
  const fail = (why: string) =>
    new HoldfastError('snapshotFailed', why, { target: prepared.configuration.machine.armId });
  if (info.timeCreated === null) throw fail('it does not say when it was taken');
  if (info.disks.length !== prepared.disks.length) throw fail('disks were attached or detached meanwhile');
  const takenAt = info.timeCreated;
  const disks: NonNullable<BackupState['snapshots']>['disks'] = [];
  for (const { number, disk } of prepared.disks) {
    const point = info.disks.find(({ sourceDiskId }) => sameArmId(sourceDiskId, disk.id));
    const found = point ? await installation.azure.restorePoints.findDisk(point.id) : null;
    if (!point || found?.sourceUniqueId !== disk.uniqueId) throw fail(`disk ${disk.name} is not in it`);
    if (point.sizeGib !== null && point.sizeGib !== Math.ceil(disk.sizeBytes / GiB))
      throw fail(`disk ${disk.name} was resized meanwhile`);
    // A family of its own: nothing is ever compared with it.
    const familyId = `restore-point-${sessionId}-${set}-${number}`;
    disks.push({
      number,
      id: point.id,
      familyId,
      sourceUniqueId: disk.uniqueId,
      sizeBytes: disk.sizeBytes,
      takenAt,
    });
  }
  const asked = info.consistency === 'application';
  const doubt = asked ? null : nvmeDoubt(prepared);
  if (doubt !== null) await warn(installation, sessionId, `The disks may show different moments: ${doubt}.`);
  await note(
    installation,
    sessionId,
    'All disks come from a restore point of the machine, and are read whole: Azure documents no differences between those.',
  );
  const consistency = asked ? 'application' : doubt === null ? 'atomic' : 'perDisk';
  await updateState(installation, sessionId, 'backup', (current) => ({
    ...current,
    snapshots: { set, consistency, takenAt, disks },
  }));
}

/** Azure says of machines with NVMe disks (Intel from v6, AMD from v7) that several data disks "might not be consistent". */
function nvmeDoubt({ configuration, disks }: PreparedSnapshots): string | null {
  const properties = configuration.virtualMachine['properties'] as
    | { hardwareProfile?: { vmSize?: string } }
    | undefined;
  const size = properties?.hardwareProfile?.vmSize ?? '';
  const [, letters = '', version = '0'] = /^Standard_[A-Z]+\d+(?:-\d+)?([a-z]*)_v(\d+)$/.exec(size) ?? [];
  const first = letters.includes('a') ? 7 : 6;
  const data = disks.filter(({ disk }) => disk.role === 'data').length;
  if (Number(version) < first || data < 2) return null;
  return `Azure does not promise one moment for ${data} data disks of size ${size}`;
}

const isLate = ({ clock }: Installation, { startedAt }: Moment): boolean =>
  clock.now().getTime() - Date.parse(startedAt) > LONGEST_MS;

const ended = ({ set }: Which, mode: Mode, taken: boolean): Moment => ({
  set,
  mode,
  collectionId: '',
  operation: null,
  startedAt: '',
  taken,
});

async function keepMoment(installation: Installation, sessionId: string, moment: Moment): Promise<void> {
  await updateState(installation, sessionId, 'backup', (current) => ({ ...current, moment }));
}

const preparedOf = ({ opened, prepared }: BackupState, sessionId: string): PreparedSnapshots =>
  need(opened ?? prepared, 'what openSession found', sessionId);
