import { describe, expect, it } from 'vitest';
import { healChain, verifyRepository } from '../../lib/repository/index.ts';
import { ModelDisk } from '../datapath/modelDisk.ts';
import { CollectLab, HOUR } from './collectLab.ts';
import { flip, spoil } from './verifyLab.ts';

const DAY = 25 * HOUR;

/** A chain whose first pack is half dead: its second point needs the rest of it. */
async function halfDead(): Promise<{ lab: CollectLab; disk: ModelDisk }> {
  const lab = await CollectLab.start();
  const disk = new ModelDisk('os', 2200);
  disk.write(0, 160, 3);
  await lab.lab.backup([disk]);
  disk.write(0, 120, 5);
  await lab.lab.backup([disk]);
  await lab.remove(1);
  lab.time.advance(DAY);
  return { lab, disk };
}

describe('what a schedule of two thousand steps once broke', () => {
  it('a map object that a retained point lists stays, also when all of its pages became empty', async () => {
    const lab = await CollectLab.start();
    const disk = new ModelDisk('os', 2200);
    disk.write(0, 80, 3);
    disk.write(2100, 16, 5);
    await lab.lab.backup([disk]);
    disk.discard(2100, 16);
    await lab.lab.backup([disk]);
    lab.time.advance(DAY);
    await lab.collect();
    expect((await lab.check()).findings).toEqual([]);
    await lab.mustHold();
  });

  it('a sound lower generation outlives a damaged higher one', async () => {
    const { lab } = await halfDead();
    await lab.compact();
    const [name = ''] = await lab.names('data', '.g1.pack');
    const { bytes } = await lab.lab.data.read(name);
    await spoil(lab.lab.data, name, flip(Math.floor(bytes.length / 4)));
    lab.time.advance(DAY);
    const { damage } = await lab.collect();
    expect(damage.map(({ object }) => object)).toEqual([name]);
    await lab.mustHold();
  });

  it('a chain is healed also where the index of the highest generation is damaged', async () => {
    const { lab, disk } = await halfDead();
    await lab.compact();
    lab.time.advance(DAY);
    await lab.collect();
    const [name = ''] = await lab.names('data', '.g1.pack');
    await spoil(lab.lab.data, name, flip(-20));
    const clock = { now: lab.time.now, sleep: () => Promise.resolve() };
    const { damaged } = await verifyRepository(lab.chain.repository, { depth: 'content', clock });
    expect(damaged.map(({ sequence }) => sequence)).toEqual([2]);
    await lab.lab.backup([disk]);
    expect((await healChain(lab.chain, { now: clock.now() })).healed).toEqual([2]);
    await lab.mustHold();
  });
});
