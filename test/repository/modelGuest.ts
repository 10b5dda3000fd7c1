/** The guest of the machine writes and discards, disks grow, and time passes. */
import { renewLease } from '../../lib/repository/index.ts';
import { type Step } from './modelStep.ts';
import { HOUR, MINUTE, type World } from './modelWorld.ts';

export const guest: Step = async (world) => {
  const { dice, os, data } = world;
  for (let i = 1 + dice.int(3); i > 0; i--) {
    const disk = dice.chance(0.7) ? os : data;
    // Near the beginnings of pages, so that a disk is many pages and few blocks.
    const page = dice.int(Math.ceil(disk.sectors / 2048)) * 2048;
    const first = page + dice.int(Math.min(160, disk.sectors - page));
    const count = 1 + dice.int(Math.min(60, disk.sectors - first));
    if (dice.chance(0.25)) disk.discard(first, count);
    else disk.write(first, count, dice.int(2000));
  }
};

export const grow: Step = async ({ dice, data }) => {
  if (data.sectors > 8 * 300) return false;
  data.grow(1 + dice.int(200));
};

/** Time passes; who is awake renews. */
export async function pass(world: World, ms: number): Promise<void> {
  for (let left = ms; left > 0; left -= 40 * MINUTE) {
    world.time.advance(Math.min(left, 40 * MINUTE));
    for (const reader of world.readers)
      if (reader.awake) await renewLease(world.chain.repository, reader.lease);
  }
}

export const minutes: Step = (world) => pass(world, world.dice.float() * 50 * MINUTE);
export const hours: Step = (world) => pass(world, world.dice.float() * 12 * HOUR);
export const days: Step = (world) => pass(world, (1 + world.dice.float() * 3) * 24 * HOUR);
