import type { Installation } from '../../installation/index.ts';
import { HoldfastError, type MachineConfiguration } from '../../model/index.ts';
import { assignDiskNumbers, openChain, type PointManifest } from '../../repository/index.ts';
import { enterStep } from '../live.ts';
import type { Instances } from '../ports.ts';
import { prepareSnapshots } from '../snapshots/prepare.ts';
import { showDisks } from '../snapshots/show.ts';
import { type BackupState, type OpenedBackup, readState, updateState } from '../state.ts';
import { adoptPoints } from './adopt.ts';
import { openCopy } from './copy.ts';
import { chooseDisks } from './supported.ts';
import { takeNumber } from './take.ts';

/**
 * Opens a backup: looks at the machine, takes its chain and the next number in it, and checks all that can be checked before
 * anything is made. May run again: it then finds what it has taken.
 *
 * @throws `machineGone`; `previousRunning` while a live session holds the chain; `diskUnsupported`; `tagLimit`
 */
export async function openBackup(
  installation: Installation,
  instances: Instances,
  sessionId: string,
): Promise<OpenedBackup> {
  const session = await enterStep(installation, sessionId, 'starting');
  const state = await readState(installation, sessionId, 'backup');
  if (state.opened) return state.opened;
  if (state.request.copyOf !== null) {
    const opened = await openCopy(installation, instances, session, state);
    await showDisks(installation, sessionId, opened);
    return opened;
  }
  const configuration = await lookAtMachine(installation, state);
  const { machine } = configuration;
  const { repository } = state.request;
  const { chain, epoch, sequence, parent, parentManifest } = await takeNumber(
    installation,
    instances,
    session,
    { machine, repository },
  );
  const opened: OpenedBackup = {
    chainId: chain.id,
    epoch,
    sequence,
    parent,
    pool: configuration.machine.location.toLowerCase(),
    ...(await prepareSnapshots(installation, session, state.request, {
      configuration,
      numbers: numberDisks(configuration, parentManifest),
      chain: { repositoryId: chain.repository.id, chainId: chain.id, sequence },
    })),
  };
  await keepOpened(installation, sessionId, opened);
  return opened;
}

/** Looks at the machine anew, after a set of snapshots that did not fit it any more. */
export async function reopenBackup(installation: Installation, sessionId: string): Promise<OpenedBackup> {
  const session = await enterStep(installation, sessionId);
  const state = await readState(installation, sessionId, 'backup');
  if (!state.opened)
    throw new HoldfastError('internal', `Session ${sessionId} was never opened.`, { target: sessionId });
  const configuration = await lookAtMachine(installation, state);
  const repository = await installation.repository(state.request.repository);
  const parent = await adoptPoints(installation, await openChain(repository, state.opened.chainId), {
    sessionId,
    epoch: state.opened.epoch,
  });
  const { chainId, sequence } = state.opened;
  const prepared = await prepareSnapshots(installation, session, state.request, {
    configuration,
    numbers: numberDisks(configuration, parent),
    chain: { repositoryId: repository.id, chainId, sequence },
  });
  const opened = { ...state.opened, ...prepared };
  await keepOpened(installation, sessionId, opened);
  return opened;
}

export async function lookAtMachine(
  installation: Installation,
  { request }: BackupState,
): Promise<MachineConfiguration> {
  const configuration = await installation.azure.machines.readConfiguration(request.machine.armId);
  if (configuration.machine.id !== request.machine.id) {
    throw new HoldfastError(
      'machineGone',
      `Machine ${request.machine.name} was made anew since it was asked for.`,
      {
        target: request.machine.armId,
      },
    );
  }
  chooseDisks(configuration, request.protection);
  return configuration;
}

/** A disk that the chain knows keeps its number, whatever its name and place are now. */
const numberDisks = ({ disks }: MachineConfiguration, parent: PointManifest | null) =>
  assignDiskNumbers(
    parent,
    disks.map(({ uniqueId }) => uniqueId),
  );

async function keepOpened(
  installation: Installation,
  sessionId: string,
  opened: OpenedBackup,
): Promise<void> {
  await updateState(installation, sessionId, 'backup', (current) => ({ ...current, opened }));
  await showDisks(installation, sessionId, opened);
}
