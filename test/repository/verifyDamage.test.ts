import { beforeAll, describe, expect, test } from 'vitest';
import { runRestore } from '../../lib/datapath/index.ts';
import {
  checkRepository,
  markDamage,
  openPoint,
  readPointState,
  removePoint,
  verifyRepository,
  writePointState,
} from '../../lib/repository/index.ts';
import { collect, Lab } from '../datapath/lab.ts';
import { ModelDisk, ModelSink } from '../datapath/modelDisk.ts';
import { damagedCopy, expand, flip, type Place, packNames, places, spoil, TestClock } from './verifyLab.ts';

const clock = new TestClock();
const NOW = clock.now();
let lab: Lab;
let all: Place[];

beforeAll(async () => {
  lab = await Lab.start({ shardBytes: 48 * 1024, blockBytes: 4096 });
  const disks = [new ModelDisk('os', 4200), new ModelDisk('data', 900)];
  disks[0]?.write(0, 90, 3);
  disks[0]?.write(2100, 60, 4);
  disks[1]?.write(0, 200, 5);
  await lab.backup(disks);
  disks[0]?.write(4, 9, 5);
  disks[0]?.write(4190, 10, 6);
  await lab.backup(disks);
  disks[0]?.write(40, 20, 8);
  disks[1]?.discard(0, 32);
  await lab.backup(disks);
  disks[1]?.write(100, 20, 9);
  await lab.backup(disks);
  all = await places(lab);
});

/** The blocks that states call damaged, as `sequence/disk/block`. */
async function marked(of: Lab): Promise<string[]> {
  const found: string[] = [];
  for (const sequence of of.truth.keys()) {
    for (const { disk, ranges, blocks } of (await readPointState(of.chain, sequence))?.damage ?? []) {
      const expanded = expand(ranges);
      expect(expanded).toHaveLength(blocks);
      found.push(...expanded.map((block) => `${sequence}/${disk}/${block}`));
    }
  }
  return found.sort();
}

const placesOf = (is: (place: Place) => boolean): string[] =>
  all
    .filter(is)
    .map(({ sequence, disk, block }) => `${sequence}/${disk}/${block}`)
    .sort();

describe('verification marks exactly what needs the damaged object', () => {
  test.each(['structure', 'content', 'rolling'] as const)('a missing pack, at depth %s', async (depth) => {
    for (const pack of await packNames(lab)) {
      const copy = await damagedCopy(lab, 'data', pack, () => null);
      const { findings, damaged } = await verifyRepository(copy.chain.repository, { depth, clock });
      const expected = placesOf((place) => place.pack === pack);
      expect(await marked(copy), `pack ${pack}`).toEqual(expected);
      const points = [...new Set(expected.map((place) => Number(place.split('/')[0])))].sort((a, b) => a - b);
      expect(damaged.map(({ sequence }) => sequence)).toEqual(points);
      expect(findings.map(({ object }) => object)).toEqual([pack]);
      expect(findings[0]?.points.toSorted()).toEqual(points.map((sequence) => `${lab.chain.id}/${sequence}`));
    }
  });

  test.each(['content', 'rolling'] as const)('one block of a pack, at depth %s', async (depth) => {
    for (const pack of await packNames(lab)) {
      // The first byte behind the header belongs to block 0.
      const copy = await damagedCopy(lab, 'data', pack, flip(41));
      await verifyRepository(copy.chain.repository, { depth, clock });
      expect(await marked(copy), `pack ${pack}`).toEqual(
        placesOf((place) => place.pack === pack && place.ordinal === 0),
      );
    }
  });

  test('a pack whose own index is damaged costs no block, and is found', async () => {
    const [pack = ''] = await packNames(lab);
    const copy = await damagedCopy(lab, 'data', pack, flip(-13));
    const { findings, damaged } = await verifyRepository(copy.chain.repository, { depth: 'content', clock });
    expect(findings.map(({ object }) => object)).toEqual([pack]);
    expect(damaged).toEqual([]);
    for (const sequence of copy.truth.keys()) await copy.mustRestore(sequence);
  });

  test('a map object: the pages and blocks that cannot be read without it', async () => {
    for await (const { name } of lab.data.list(`chains/${lab.chain.id}/maps/`)) {
      const copy = await damagedCopy(lab, 'data', name, () => null);
      const { damaged } = await verifyRepository(copy.chain.repository, { depth: 'structure', clock });
      for (const sequence of copy.truth.keys()) {
        const fails = await copy.mustRestore(sequence).then(
          () => false,
          () => true,
        );
        expect(
          damaged.some((point) => point.sequence === sequence),
          `${name}, point ${sequence}`,
        ).toBe(fails);
      }
    }
  });

  test('a sound repository gets no mark, and marks go when what they tell of is whole again', async () => {
    const [pack = ''] = await packNames(lab);
    const copy = await damagedCopy(lab);
    const { bytes } = await copy.data.read(pack);
    await verifyRepository(copy.chain.repository, { depth: 'content', clock });
    expect(await marked(copy)).toEqual([]);
    await copy.data.remove(pack);
    const { damaged } = await markDamage(copy.chain, [pack], { now: NOW });
    expect(damaged.length).toBeGreaterThan(0);
    await copy.data.create(pack, bytes);
    const { healed } = await markDamage(copy.chain, [], { now: NOW });
    expect(healed).toEqual(damaged.map(({ sequence }) => sequence));
    expect(await marked(copy)).toEqual([]);
  });
});

describe('a damaged point', () => {
  test('says so when it is opened; its other disks restore; the damaged one only when asked to', async () => {
    const pack = (await packNames(lab)).find((name) => /-0001-/.test(name)) ?? '';
    const copy = await damagedCopy(lab, 'data', pack, () => null);
    await verifyRepository(copy.chain.repository, { depth: 'structure', clock });
    const damagedSequence = Number(placesOf((place) => place.pack === pack)[0]?.split('/')[0]);
    const { damage } = await openPoint(copy.chain, damagedSequence);
    expect(damage).toMatchObject([{ disk: 1, objects: [pack] }]);
    const truth = copy.truth.get(damagedSequence);
    expect(
      (await copy.restore(damagedSequence, 0)).content.equals(truth?.get('os')?.content ?? Buffer.alloc(0)),
    ).toBe(true);
    await expect(copy.restore(damagedSequence, 1)).rejects.toMatchObject({
      code: 'missingObject',
      target: pack,
    });

    const wanted = Buffer.from(truth?.get('data')?.content ?? Buffer.alloc(0));
    const sink = new ModelSink(wanted.length);
    const result = await runRestore(
      {
        kind: 'restore',
        chain: { id: copy.chain.id, blockBytes: copy.blockBytes },
        disk: 1,
        sizeBytes: wanted.length,
        table: await copy.table(damagedSequence, 1, copy.nextSession()),
        pageFrom: 0,
        pageTo: 1,
        targetDiskId: 'target',
        allowDamaged: true,
      },
      copy.io(1, { sink }),
    );
    const lost = all.filter((place) => place.sequence === damagedSequence && place.pack === pack);
    for (const { block } of lost) wanted.fill(0, block * 4096, (block + 1) * 4096);
    expect(sink.content.equals(wanted)).toBe(true);
    const listed = result.damage?.ranges.flatMap(({ offset, length }) =>
      expand([[offset / 4096, Math.ceil(length / 4096)]]),
    );
    expect(listed).toEqual(lost.map(({ block }) => block));
    expect(result.damage).toMatchObject({ blocks: lost.length, objects: [pack] });
  });

  test('is restored with what it has, and without a word about damage when there is none', async () => {
    const { map } = await (await openPoint(lab.chain, 1)).disk(0);
    const spec = {
      kind: 'restore' as const,
      chain: { id: lab.chain.id, blockBytes: lab.blockBytes },
      disk: 0,
      sizeBytes: map.sizeBytes,
      table: await lab.table(1, 0, lab.nextSession()),
      pageFrom: 0,
      pageTo: 3,
      targetDiskId: 'target',
      allowDamaged: true,
    };
    const sink = new ModelSink(map.sizeBytes);
    const result = await runRestore(spec, lab.io(1, { sink }));
    expect(result.damage).toBeUndefined();
    expect(sink.content.equals(lab.truth.get(1)?.get('os')?.content ?? Buffer.alloc(0))).toBe(true);
  });
});

describe('the state of a point', () => {
  const hold = { by: 'anna', reason: 'audit', until: null };

  test('two writers at once: neither change is lost', async () => {
    const copy = await damagedCopy(lab);
    const damage = [
      { disk: 0, blocks: 1, ranges: [[3, 1]] as [number, number][], objects: ['x'], moreObjects: 0 },
    ];
    await Promise.all([
      writePointState(copy.chain, 1, (facts) => ({ ...facts, hold }), { now: NOW }),
      writePointState(copy.chain, 1, (facts) => ({ ...facts, damage }), { now: NOW }),
      ...[1, 2, 3].map(() => writePointState(copy.chain, 1, (facts) => ({ ...facts, hold }), { now: NOW })),
    ]);
    expect(await readPointState(copy.chain, 1)).toMatchObject({ hold, damage, counter: 2 });
  });

  test('nothing is written where nothing changes, and none is made for what is no point', async () => {
    const copy = await damagedCopy(lab);
    expect(await writePointState(copy.chain, 1, (facts) => facts, { now: NOW })).toBeNull();
    await writePointState(copy.chain, 1, (facts) => ({ ...facts, hold }), { now: NOW });
    await writePointState(copy.chain, 1, (facts) => ({ ...facts, hold: { ...hold } }), { now: NOW });
    expect((await readPointState(copy.chain, 1))?.counter).toBe(1);
    await removePoint(copy.chain, { sequence: 2, by: 'test', now: NOW });
    await expect(
      writePointState(copy.chain, 2, (facts) => ({ ...facts, hold }), { now: NOW }),
    ).rejects.toMatchObject({ code: 'missingObject' });
  });

  test('an older one that is put back, or a missing one, is told by the counter that the caller remembers', async () => {
    const copy = await damagedCopy(lab);
    const name = `chains/${copy.chain.id}/points/00000001.state`;
    await writePointState(
      copy.chain,
      1,
      (facts) => facts && { ...facts, hold: null, retention: { flags: [], rules: null, expiresAt: null } },
      { now: NOW },
    );
    const old = (await copy.meta.read(name)).bytes;
    const held = await writePointState(copy.chain, 1, (facts) => ({ ...facts, hold }), { now: NOW });
    const atLeast = held?.counter ?? 0;
    expect(atLeast).toBe(2);
    await spoil(copy.meta, name, () => old);
    expect((await readPointState(copy.chain, 1))?.hold).toBeNull();
    await expect(readPointState(copy.chain, 1, { atLeast })).rejects.toMatchObject({
      code: 'repositoryMismatch',
      target: name,
    });
    await copy.meta.remove(name);
    await expect(readPointState(copy.chain, 1, { atLeast })).rejects.toMatchObject({
      code: 'repositoryMismatch',
    });
    const again = await writePointState(copy.chain, 1, (facts) => ({ ...facts, hold }), {
      now: NOW,
      above: atLeast,
    });
    expect(again?.counter).toBe(3);
  });

  test('one that is damaged is named by the check, stops no restore, and is replaced only when asked', async () => {
    const copy = await damagedCopy(lab);
    const name = `chains/${copy.chain.id}/points/00000001.state`;
    await writePointState(copy.chain, 1, (facts) => ({ ...facts, hold }), { now: NOW });
    await spoil(copy.meta, name, flip(50));
    const { findings } = await checkRepository({ ...copy.stores, unlock: copy.unlock, depth: 'structure' });
    expect(findings).toMatchObject([{ object: name, points: [`${copy.chain.id}/1`] }]);
    await copy.mustRestore(1);
    const set = (unreadable: 'refuse' | 'replace') =>
      writePointState(copy.chain, 1, (facts) => ({ ...facts, hold }), { now: NOW, above: 1, unreadable });
    await expect(set('refuse')).rejects.toMatchObject({ code: 'corruptObject', target: name });
    expect((await set('replace'))?.counter).toBe(2);
    expect((await collect(copy.meta.list(name))).length).toBe(1);
  });
});
