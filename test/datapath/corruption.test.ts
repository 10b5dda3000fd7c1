import { beforeAll, describe, expect, test } from 'vitest';
import { isHoldfastError } from '../../lib/model/index.ts';
import {
  type BlobStore,
  checkRepository,
  KIND,
  MemoryBlobStore,
  RecordReader,
  RecordWriter,
  takeOwnership,
} from '../../lib/repository/index.ts';
import { copyStore } from './faultyStore.ts';
import { Lab } from './lab.ts';
import { ModelDisk } from './modelDisk.ts';

const NOW = new Date('2026-11-22T00:00:00Z');

let lab: Lab;
/** All objects of the repository: container and name. */
const objects: { where: 'meta' | 'data'; name: string; size: number }[] = [];

beforeAll(async () => {
  lab = await Lab.start({ shardBytes: 48 * 1024, blockBytes: 4096 });
  const disk = new ModelDisk('os', 4200);
  disk.write(0, 40, 3);
  disk.write(2100, 40, 2);
  await lab.backup([disk]);
  disk.write(4, 9, 5);
  disk.write(4190, 10, 6);
  await lab.backup([disk]);
  await takeOwnership(lab.chain.repository, { installation: 'lab', now: NOW });
  for (const where of ['meta', 'data'] as const) {
    for await (const { name, size } of lab[where].list('')) objects.push({ where, name, size });
  }
});

/** The lab's repository with one object changed; `change` answers null to delete it. */
async function damaged(
  where: 'meta' | 'data',
  name: string,
  change: (bytes: Buffer) => Buffer | null,
): Promise<Lab> {
  const stores: { meta: BlobStore; data: BlobStore } = {
    meta: await copyStore(lab.meta),
    data: await copyStore(lab.data),
  };
  const store = new MemoryBlobStore(where);
  for await (const { name: other } of lab[where].list('')) {
    const { bytes } = await lab[where].read(other);
    const kept = other === name ? change(Buffer.from(bytes)) : bytes;
    if (kept) await store.create(other, kept);
  }
  const copy = new Lab({ ...stores, [where]: store, shardBytes: lab.shardBytes, blockBytes: lab.blockBytes });
  for (const [sequence, truth] of lab.truth) copy.truth.set(sequence, truth);
  copy.chain = lab.chain;
  return copy;
}

/**
 * What is wrong with how damage of `name` shows: the check must name the object; each point must restore as it was or be
 * refused with the object's name; and a point that is refused must be among those that the check calls affected.
 */
async function hidden(copy: Lab, name: string, what: string): Promise<string[]> {
  const { findings } = await checkRepository({ ...copy.stores, unlock: copy.unlock, depth: 'content' });
  const finding = findings.find(({ object }) => object === name);
  if (!finding) return [`${what}: the check does not see it`];
  const wrong: string[] = [];
  for (const sequence of copy.truth.keys()) {
    try {
      await copy.reopen();
      await copy.mustRestore(sequence);
    } catch (error) {
      const refused = isHoldfastError(error, 'corruptObject') || isHoldfastError(error, 'missingObject');
      if (!refused || error.target !== name)
        wrong.push(`${what}: point ${sequence} fails with ${String(error)}`);
      if (!finding.points.includes(`${copy.chain.id}/${sequence}`))
        wrong.push(`${what}: point ${sequence} is not called affected`);
    }
  }
  return wrong;
}

const kinds = ['repository', 'owner', 'chain', 'session', 'manifest', 'tree', 'map', 'pack'];
const kindOf = (name: string): string => name.split(/[./]/).at(-1) ?? name;

test('the repository under test has objects of every kind', () => {
  expect(new Set(objects.map(({ name }) => kindOf(name)))).toEqual(new Set(kinds));
});

describe.each(kinds)('a damaged object: %s', (kind) => {
  const some = () => objects.filter(({ name }) => kindOf(name) === kind).slice(-2);

  test('a flipped bit at any offset is detected, and the object named', async () => {
    const wrong: string[] = [];
    for (const { where, name, size } of some()) {
      // Both ends and the fields of header and trailer, and places in between.
      const offsets = new Set([
        0,
        4,
        5,
        6,
        7,
        8,
        39,
        40,
        size - 29,
        size - 13,
        size - 12,
        size - 8,
        size - 1,
      ]);
      for (let i = 1; i <= 8; i++) offsets.add(Math.floor((size * i) / 9));
      for (const offset of offsets) {
        if (offset < 0 || offset >= size) continue;
        const bit = 1 << (offset % 8);
        const copy = await damaged(where, name, (bytes) => {
          bytes[offset] = (bytes[offset] ?? 0) ^ bit;
          return bytes;
        });
        wrong.push(...(await hidden(copy, name, `${name}, bit ${bit} of byte ${offset} of ${size}`)));
      }
    }
    expect(wrong).toEqual([]);
  }, 60_000);

  test('a truncated or extended object is detected, and named', async () => {
    const wrong: string[] = [];
    for (const { where, name, size } of some()) {
      for (const length of [0, 1, 39, Math.floor(size / 2), size - 1]) {
        const copy = await damaged(where, name, (bytes) => bytes.subarray(0, length));
        wrong.push(...(await hidden(copy, name, `${name} cut to ${length}`)));
      }
      const longer = await damaged(where, name, (bytes) => Buffer.concat([bytes, Buffer.alloc(1)]));
      wrong.push(...(await hidden(longer, name, `${name} extended`)));
    }
    expect(wrong).toEqual([]);
  }, 60_000);

  test('an object in the place of its sibling is detected, and named', async () => {
    const [one, other] = some();
    if (!one || !other) return;
    const { bytes } = await lab[other.where].read(other.name);
    const swapped = await damaged(one.where, one.name, () => bytes);
    expect(await hidden(swapped, one.name, `${other.name} as ${one.name}`)).toEqual([]);
  });
});

test('an authentic tree or map that is not the one the manifest names is detected, and named', async () => {
  // The same session wrote both under one name: only a holder of the keys could put one in the place of the other.
  for (const kind of ['tree', 'map']) {
    const victim = objects.find(({ name }) => kindOf(name) === kind);
    if (!victim) throw new Error('no object');
    const { where, name } = victim;
    const key = kind === 'tree' ? lab.chain.repository.keys.meta : lab.chain.keys.seal;
    const binding = { kind: kind === 'tree' ? KIND.tree : KIND.map, chain: lab.chain.id, name };
    const reader = await RecordReader.open(lab[where], key, binding);
    const writer = new RecordWriter(key, binding);
    for (let record = 0; record < reader.records; record++) writer.append(await reader.record(record));
    const copy = await damaged(where, name, () => writer.finish(reader.payload).bytes);
    const { findings } = await checkRepository({ ...copy.stores, unlock: copy.unlock, depth: 'structure' });
    expect(findings.map(({ object }) => object)).toContain(name);
  }
});

describe('a missing object', () => {
  test.each(['repository', 'chain', 'tree', 'map', 'pack'])('%s: is detected, and named', async (kind) => {
    for (const { where, name } of objects.filter((object) => kindOf(object.name) === kind)) {
      const needed = await damaged(where, name, () => null);
      expect(await hidden(needed, name, `${name} deleted`)).toEqual([]);
    }
  });

  test('a claim or the owner: no restore point needs them', async () => {
    for (const { where, name } of objects.filter((object) =>
      ['session', 'owner'].includes(kindOf(object.name)),
    )) {
      const copy = await damaged(where, name, () => null);
      const { findings } = await checkRepository({ ...copy.stores, unlock: copy.unlock, depth: 'content' });
      expect(findings).toEqual([]);
      await copy.mustRestore(2);
    }
  });

  test('the presence of packs is known without reading any', async () => {
    const pack = objects.find(({ name }) => kindOf(name) === 'pack');
    const copy = await damaged('data', pack?.name ?? '', () => null);
    const { findings, blocks } = await checkRepository({
      ...copy.stores,
      unlock: copy.unlock,
      depth: 'structure',
    });
    expect(findings).toMatchObject([
      { object: pack?.name, points: [expect.any(String), expect.any(String)] },
    ]);
    expect(blocks).toBe(0);
  });
});

describe('staging', () => {
  test('a flipped bit in a page table or a plan stops the job, which names the object', async () => {
    const disk = new ModelDisk('os', 1000);
    disk.write(0, 200, 3);
    for (const suffix of ['.table', '.plan']) {
      const fresh = await Lab.start();
      await fresh.backup([disk]);
      const spoilt = new Lab({ ...fresh.stores, staging: new SpoilingStore(suffix) });
      spoilt.truth.set(1, fresh.truth.get(1) ?? new Map());
      spoilt.chain = fresh.chain;
      const failure =
        suffix === '.table' ? spoilt.mustRestore(1) : spoilt.prepare([disk], { reason: 'scheduled' });
      await expect(failure).rejects.toMatchObject({
        code: 'corruptObject',
        target: expect.stringContaining(suffix) as string,
      });
    }
  });
});

/** Flips a bit in whatever is read of objects whose name ends with `suffix`. */
class SpoilingStore extends MemoryBlobStore {
  readonly #suffix: string;

  constructor(suffix: string) {
    super('staging');
    this.#suffix = suffix;
  }

  override async read(name: string, ...rest: [range?: { offset: number; length: number }, options?: object]) {
    const content = await super.read(name, ...rest);
    if (name.endsWith(this.#suffix)) content.bytes[45] = (content.bytes[45] ?? 0) ^ 4;
    return content;
  }
}
