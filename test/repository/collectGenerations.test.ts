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

  it.each(['content', 'rolling'] as const)(
    'a damaged higher generation beside a sound lower one is found (%s), replaced, and collected',
    async (depth) => {
      const { lab } = await halfDead();
      await lab.compact();
      const [name = ''] = await lab.names('data', '.g1.pack');
      const { bytes } = await lab.lab.data.read(name);
      await spoil(lab.lab.data, name, flip(Math.floor(bytes.length / 4)));
      const clock = { now: lab.time.now, sleep: () => Promise.resolve() };
      const verify = () => verifyRepository(lab.chain.repository, { depth, clock });
      const found = await verify();
      expect(found.findings.map(({ object }) => object)).toEqual([name]);
      expect([found.damaged, found.spoiled]).toEqual([[], [name]]);
      const { written, blocks } = await healChain(lab.chain, { now: clock.now(), spoiled: found.spoiled });
      expect([written, blocks]).toEqual([[name.replace('.g1.', '.g2.')], 0]);
      lab.time.advance(1);
      expect(await verify()).toMatchObject({ findings: [], damaged: [], spoiled: [] });
      const again = await healChain(lab.chain, { now: clock.now(), spoiled: found.spoiled });
      expect(again).toMatchObject({ written: [], spoiled: [] });
      lab.time.advance(DAY);
      expect((await lab.collect()).damage).toEqual([]);
      const packs = await lab.names('data', '/packs/00000001-');
      expect(packs).toEqual([name.replace('.g1.', '.g2.')]);
      // Compaction goes on from there.
      await lab.compact();
      lab.time.advance(DAY);
      await lab.collect();
      await lab.mustHold();
      expect(await lab.check()).toMatchObject({ findings: [], garbage: [] });
    },
  );

  it('what only a generation in between holds is given back too', async () => {
    const { lab, disk } = await halfDead();
    await lab.compact();
    lab.time.advance(DAY);
    await lab.collect();
    disk.write(120, 24, 9);
    await lab.lab.backup([disk]);
    await lab.remove(2);
    lab.time.advance(DAY);
    await lab.compact();
    const [g2 = ''] = await lab.names('data', '.g2.pack');
    // Behind the header and the tags of eighteen blocks that are left out.
    await spoil(lab.lab.data, g2, flip(340));
    const clock = { now: lab.time.now, sleep: () => Promise.resolve() };
    const { damaged, spoiled } = await verifyRepository(lab.chain.repository, { depth: 'content', clock });
    expect([damaged.map(({ sequence }) => sequence), spoiled]).toEqual([[3], [g2]]);
    const { written, healed } = await healChain(lab.chain, { now: clock.now(), spoiled });
    expect([written, healed]).toEqual([[g2.replace('.g2.', '.g3.')], [3]]);
    await lab.mustHold();
  });

  it('a damaged later generation of a pack that no point needs is nobody\u2019s', async () => {
    const { lab, disk } = await halfDead();
    await lab.compact();
    const [name = ''] = await lab.names('data', '.g1.pack');
    await spoil(lab.lab.data, name, flip(60));
    disk.write(0, 200, 7);
    await lab.lab.backup([disk]);
    await lab.remove(2);
    const clock = { now: lab.time.now, sleep: () => Promise.resolve() };
    for (const depth of ['content', 'rolling'] as const) {
      const { findings, spoiled } = await verifyRepository(lab.chain.repository, { depth, clock });
      expect([findings, spoiled]).toEqual([[], []]);
    }
  });
});
