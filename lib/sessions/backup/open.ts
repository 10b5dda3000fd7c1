import type { Installation } from '../../installation/index.ts';
import {
  HoldfastError,
  isHoldfastError,
  type Machine,
  type MachineConfiguration,
  type Session,
} from '../../model/index.ts';
import {
  assignDiskNumbers,
  type Chain,
  claimSequence,
  createChain,
  openChain,
  type PointManifest,
  type Repository,
} from '../../repository/index.ts';
import { enterStep } from '../live.ts';
import type { Instances } from '../ports.ts';
import { planTags, sealConfiguration } from '../snapshotTags.ts';
import { type BackupState, type OpenedBackup, readState, updateState } from '../state.ts';
import { adoptPoints } from './adopt.ts';
import { restartIfDamaged } from './restart.ts';
import { refuseUnsupported } from './supported.ts';

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
  const configuration = await lookAtMachine(installation, state);
  const { chain, epoch } = await takeChain(installation, instances, session, configuration);
  const parent = await adoptPoints(installation, chain, { sessionId, epoch });
  const { id: installationId, key } = await installation.identity();
  await installation.catalog.intents.write(sessionId, 'claim', chain.id, {
    machineId: configuration.machine.id,
    epoch,
  });
  const claim = await claimSequence(chain, {
    installation: installationId,
    session: sessionId,
    epoch,
    parent: parent?.sequence ?? null,
  });
  const opened: OpenedBackup = {
    chainId: chain.id,
    epoch,
    sequence: claim.sequence,
    parent: claim.parent,
    pool: configuration.machine.location.toLowerCase(),
    ...describe(configuration, parent, sessionId, key),
  };
  checkTagsFit(opened, installationId, sessionId);
  await keepOpened(installation, sessionId, opened);
  return opened;
}

/** Looks at the machine anew, after a set of snapshots that did not fit it any more. */
export async function reopenBackup(installation: Installation, sessionId: string): Promise<OpenedBackup> {
  const state = await readState(installation, sessionId, 'backup');
  if (!state.opened)
    throw new HoldfastError('internal', `Session ${sessionId} was never opened.`, { target: sessionId });
  const configuration = await lookAtMachine(installation, state);
  const repository = await installation.repository();
  const parent = await adoptPoints(installation, await openChain(repository, state.opened.chainId), {
    sessionId,
    epoch: state.opened.epoch,
  });
  const { id, key } = await installation.identity();
  const opened = { ...state.opened, ...describe(configuration, parent, sessionId, key) };
  checkTagsFit(opened, id, sessionId);
  await keepOpened(installation, sessionId, opened);
  return opened;
}

async function lookAtMachine(
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
  refuseUnsupported(configuration);
  return configuration;
}

async function takeChain(
  installation: Installation,
  instances: Instances,
  session: Session,
  { machine }: MachineConfiguration,
): Promise<{ chain: Chain; epoch: number }> {
  const { catalog } = installation;
  const repository = await installation.repository();
  const key = { repositoryId: repository.id, machineId: machine.id };
  await catalog.intents.write(session.id, 'chain', machine.id, key);
  const answer = await catalog.chains.take(
    key,
    { sessionId: session.id, instanceId: session.instanceId },
    async (holder) => {
      const other = await catalog.sessions.get(holder.sessionId);
      return other?.status === 'running' && (await instances.state(holder.instanceId)) === 'running';
    },
  );
  if (!answer.taken) {
    await catalog.intents.resolve(session.id, 'chain', machine.id);
    throw new HoldfastError(
      'previousRunning',
      `Machine ${machine.name} is being backed up by session ${answer.holder.sessionId}.`,
      {
        target: answer.holder.sessionId,
      },
    );
  }
  const { epoch } = answer.chain;
  const owner = { sessionId: session.id, epoch };
  const { chainId } = (await restartIfDamaged(installation, repository, answer.chain, owner)) ?? answer.chain;
  return { chain: await openOrFound(installation, repository, chainId, session.id, machine), epoch };
}

/** A chain is founded by the first session that gets here; one that died before its first commit left the chain founded. */
async function openOrFound(
  { clock, settings }: Installation,
  repository: Repository,
  id: string,
  session: string,
  machine: Machine,
): Promise<Chain> {
  try {
    return await openChain(repository, id);
  } catch (error) {
    if (!isHoldfastError(error, 'missingObject')) throw error;
  }
  return createChain(repository, {
    id,
    machine: { id: machine.id, armId: machine.armId, name: machine.name },
    session,
    createdAt: clock.now().toISOString(),
    blockBytes: settings.HOLDFAST_BLOCK_BYTES,
  });
}

function describe(
  configuration: MachineConfiguration,
  parent: PointManifest | null,
  sessionId: string,
  key: Buffer,
): Pick<OpenedBackup, 'configuration' | 'sealed' | 'disks'> {
  const { disks } = configuration;
  const numbers = assignDiskNumbers(
    parent,
    disks.map(({ uniqueId }) => uniqueId),
  );
  return {
    configuration,
    sealed: sealConfiguration(configuration, sessionId, key),
    disks: disks
      .map((disk) => ({ number: numbers.get(disk.uniqueId) ?? 0, disk }))
      .sort((a, b) => a.number - b.number),
  };
}

function checkTagsFit(
  { disks, sealed, configuration }: OpenedBackup,
  owner: string,
  sessionId: string,
): void {
  const numbers = disks.map(({ number }) => number);
  planTags(
    { owner, sessionId, setId: '1', machineId: configuration.machine.id, sealed, disks: numbers },
    `machine ${configuration.machine.name}`,
  );
}

async function keepOpened(
  installation: Installation,
  sessionId: string,
  opened: OpenedBackup,
): Promise<void> {
  await updateState(installation, sessionId, 'backup', (current) => ({ ...current, opened }));
  await installation.catalog.sessions.update(sessionId, (session) => ({
    ...session,
    disks: opened.disks.map(({ number, disk }) => ({
      name: disk.name,
      number,
      sizeBytes: disk.sizeBytes,
      plannedBytes: null,
      doneBytes: 0,
      readBytes: 0,
      storedBytes: 0,
      readReason: null,
    })),
  }));
}
