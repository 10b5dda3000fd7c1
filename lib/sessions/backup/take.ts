import type { Installation, InstalledRepository } from '../../installation/index.ts';
import { HoldfastError, isHoldfastError, type Machine, type Session } from '../../model/index.ts';
import {
  type Chain,
  claimSequence,
  createChain,
  openChain,
  type PointManifest,
  refreshRepository,
  takeOwnership,
} from '../../repository/index.ts';
import type { Instances } from '../ports.ts';
import { adoptPoints } from './adopt.ts';
import { restartIfDamaged } from './restart.ts';

/** A session's hold on the next number of a machine's chain. */
export interface TakenNumber {
  readonly chain: Chain;
  readonly epoch: number;
  readonly sequence: number;
  /** The number of the point that the next one is made from, as the claim names it, and its manifest; null for the first. */
  readonly parent: number | null;
  readonly parentManifest: PointManifest | null;
}

/**
 * Takes the chain that a machine has in a repository, brings the catalog up to it, and claims its next number. May be repeated: the
 * session gets what it has taken.
 *
 * @throws `previousRunning` while a live session holds the chain
 */
export async function takeNumber(
  installation: Installation,
  instances: Instances,
  session: Session,
  which: { readonly machine: Machine; readonly repository: string },
): Promise<TakenNumber> {
  const { chain, epoch } = await takeChain(installation, instances, session, which);
  const parentManifest = await adoptPoints(installation, chain, { sessionId: session.id, epoch });
  const { id } = await installation.identity();
  await installation.catalog.intents.write(session.id, 'claim', chain.id, {
    machineId: which.machine.id,
    epoch,
  });
  const { sequence, parent } = await claimSequence(chain, {
    installation: id,
    session: session.id,
    epoch,
    parent: parentManifest?.sequence ?? null,
  });
  return { chain, epoch, sequence, parent, parentManifest };
}

async function takeChain(
  installation: Installation,
  instances: Instances,
  session: Session,
  { machine, repository: name }: { readonly machine: Machine; readonly repository: string },
): Promise<{ chain: Chain; epoch: number }> {
  const { catalog, clock } = installation;
  const repository = await installation.repository(name);
  // One that was taken over since it was opened is not ours to write to.
  await takeOwnership(repository, { installation: (await installation.identity()).id, now: clock.now() });
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
  repository: InstalledRepository,
  id: string,
  session: string,
  machine: Machine,
): Promise<Chain> {
  try {
    return await openChain(repository, id);
  } catch (error) {
    if (!isHoldfastError(error, 'missingObject')) throw error;
  }
  // The key slots are copied into it: as they are now.
  return createChain(await refreshRepository(repository), {
    id,
    machine: { id: machine.id, armId: machine.armId, name: machine.name },
    session,
    createdAt: clock.now().toISOString(),
    blockBytes: settings.HOLDFAST_BLOCK_BYTES,
  });
}
