/** Points are removed, and read under leases. */
import { isHoldfastError } from '../../lib/model/index.ts';
import {
  createLease,
  readManifest,
  releaseLease,
  removePoint,
  renewLease,
} from '../../lib/repository/index.ts';
import { Crash, type CrashPlan } from '../datapath/faultyStore.ts';
import { same } from './modelChecks.ts';
import { crashing, type Step } from './modelStep.ts';
import { HOUR, type World } from './modelWorld.ts';

export const remove: Step = async (world) => {
  const sequences = [...world.points.keys()];
  // The newest is the parent of what is under way; others are being read.
  const read = world.readers
    .map(({ point }) => point.manifest.sequence)
    .filter((one) => world.points.has(one));
  const dice = world.dice.float();
  const sequence =
    (dice < 0.3 ? sequences.at(-1) : dice < 0.6 ? world.dice.pick(read) : undefined) ??
    world.dice.pick(sequences);
  if (sequence === undefined) return false;
  await removeNow(world, sequence);
};

export async function removeNow(world: World, sequence: number, plan?: CrashPlan): Promise<void> {
  const request = { sequence, by: 'test', now: world.time.at };
  try {
    await removePoint(world.process(plan).chain, request);
  } catch (error) {
    if (!(error instanceof Crash)) throw error;
  }
  const fate = await world.settleNumber(sequence, { removed: true });
  if (!plan) same(`number ${sequence}, removed`, fate, 'removed');
}

export const removeDies: Step = async (world) => {
  const sequence = world.dice.pick([...world.points.keys()]);
  if (sequence === undefined) return false;
  await removeNow(world, sequence, crashing(world, 3));
};

export const removeAgain: Step = async (world) => {
  const sequence = world.dice.pick([...world.voids.keys()]);
  if (sequence === undefined) return false;
  const before = (await readManifest(world.chain, sequence))?.tag;
  const { tag } = await removePoint(world.chain, { sequence, by: 'again', now: world.time.at });
  same('a void that is removed', tag, before);
};

export const beginReading: Step = async (world) => {
  const sequence = world.dice.pick([...world.points.keys()]);
  const point = world.points.get(sequence ?? 0);
  if (sequence === undefined || !point || world.readers.length > 2) return false;
  const { repository, id } = world.chain;
  const lease = { kind: 'reader' as const, chain: id, sequence, by: 'test' };
  const { name } = await createLease(repository, lease);
  world.readers.push({ point, lease: name, readAt: world.time.now(), awake: world.dice.chance(0.5) });
};

export const endReading: Step = async (world) => {
  const reader = world.dice.take(world.readers);
  if (!reader) return false;
  await world.read(reader.point);
  await releaseLease(world.chain.repository, reader.lease);
};

/** Who slept has no lease, and may read until a day after the manifest was read. */
export async function wakeReaders(world: World): Promise<void> {
  const now = world.time.at.getTime();
  const { repository } = world.chain;
  for (const reader of [...world.readers]) {
    if (reader.awake || now - reader.readAt.getTime() < 24 * HOUR) continue;
    world.readers.splice(world.readers.indexOf(reader), 1);
    const error = await renewLease(repository, reader.lease).catch((failed: unknown) => failed);
    if (!isHoldfastError(error, 'claimLost')) throw new Error('a lease outlived a day of silence');
    world.count('lost leases');
  }
}
