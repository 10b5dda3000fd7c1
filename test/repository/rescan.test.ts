import { beforeAll, describe, expect, test } from 'vitest';
import { HoldfastError, KiB, MiB } from '../../lib/model/index.ts';
import {
  adoptRepository,
  assertOwner,
  type BlobContent,
  type BlobStore,
  type CatalogWriter,
  type ChainHead,
  checkRepository,
  createChain,
  createRepository,
  listManifests,
  MemoryBlobStore,
  openRepository,
  type RememberedChain,
  type RescanResult,
  readOwner,
  rememberRepository,
  removePoint,
  rescan,
  takeOwnership,
  voidClaim,
} from '../../lib/repository/index.ts';
import { Crash, CrashingStore, CrashPlan, copyStore } from '../datapath/faultyStore.ts';
import { CHEAP, collect, Lab, PASSWORD } from '../datapath/lab.ts';
import { ModelDisk } from '../datapath/modelDisk.ts';

const NOW = new Date('2026-11-21T10:00:00Z');

/** A catalog as a plain model: what the facts come to. */
class ModelCatalog implements CatalogWriter {
  readonly chains = new Map<string, { machine: string; ended: unknown }>();
  readonly points = new Map<string, { tag: string; kind: string; bytes: string }>();
  readonly voids = new Map<string, string>();
  readonly machines = new Map<string, readonly string[]>();
  readonly heads = new Map<string, ChainHead>();
  readonly lostChains: string[] = [];
  readonly order: string[] = [];
  remembered: unknown = null;
  #crash: CrashPlan | null = null;

  crashing(plan: CrashPlan): this {
    this.#crash = plan;
    return this;
  }

  #write(name: string, act: () => void): Promise<void> {
    const run = () => {
      this.order.push(name);
      act();
      return Promise.resolve();
    };
    return this.#crash ? this.#crash.run(run) : run();
  }

  repository(fact: unknown) {
    return this.#write('repository', () => (this.remembered = fact));
  }
  chain(fact: { id: string; machine: { id: string } }) {
    return this.#write('chain', () => this.chains.set(fact.id, { machine: fact.machine.id, ended: null }));
  }
  point({ chain, point, tag, bytes }: Parameters<CatalogWriter['point']>[0]) {
    return this.#write('point', () =>
      this.points.set(`${chain.id}/${point.sequence}`, { tag, kind: point.kind, bytes: bytes.toString() }),
    );
  }
  removed({ chain, sequence, reason }: Parameters<CatalogWriter['removed']>[0]) {
    return this.#write('removed', () => {
      this.points.delete(`${chain.id}/${sequence}`);
      this.voids.set(`${chain.id}/${sequence}`, reason);
    });
  }
  chainEnd({ chain, ...ended }: Parameters<CatalogWriter['chainEnd']>[0]) {
    return this.#write('chainEnd', () => {
      this.chains.set(chain.id, { machine: chain.machine.id, ended });
      if (ended.head) this.heads.set(chain.id, ended.head);
    });
  }
  machine(fact: { machine: { id: string }; chains: readonly string[] }) {
    return this.#write('machine', () => this.machines.set(fact.machine.id, fact.chains));
  }
  lost(chain: string) {
    return this.#write('lost', () => this.lostChains.push(chain));
  }

  state() {
    const { chains, points, voids, machines, heads, remembered } = this;
    return { chains, points, voids, machines, heads, remembered };
  }
  memory(): RememberedChain[] {
    return [...this.heads].map(([chain, head]) => ({ chain, head }));
  }
}

/** Reads of some names do not answer. */
class FailingReads extends CrashingStore {
  fired = 0;
  readonly #names: RegExp;

  constructor(inner: BlobStore, names: RegExp) {
    super(inner, new CrashPlan(0, 'before'));
    this.#names = names;
  }

  override read(name: string, range?: { offset: number; length: number }): Promise<BlobContent> {
    if (!this.#names.test(name)) return super.read(name, range);
    this.fired++;
    return Promise.reject(new HoldfastError('unavailable', 'busy', { target: name }));
  }
}

/** A chain with two points, a removed one, an abandoned number, an open claim. */
let lab: Lab;
let meta: MemoryBlobStore;
let data: MemoryBlobStore;
beforeAll(async () => {
  meta = new MemoryBlobStore('meta', () => NOW);
  data = new MemoryBlobStore('data', () => NOW);
  lab = await Lab.start({ meta, data, blockBytes: 4 * KiB, shardBytes: 2 * MiB });
  const disk = new ModelDisk('disk-a', 4000);
  const other = new ModelDisk('disk-b', 600);
  for (let run = 0; run < 3; run++) {
    disk.write(run * 16, 8, 65 + run);
    other.write(0, 8, 97 + run);
    await lab.backup(run === 1 ? [disk] : [disk, other]);
  }
  await removePoint(lab.chain, { sequence: 2, by: 'test', now: NOW });
  const { sequence } = await lab.claim(lab.nextSession(), 3);
  await voidClaim(lab.chain, { sequence, by: 'test', now: NOW, because: 'sessionEnded' });
  await lab.claim(lab.nextSession(), 3);
});

async function run(
  stores: { meta: BlobStore; data: BlobStore },
  more: Partial<Parameters<typeof rescan>[1]> = {},
): Promise<{ catalog: ModelCatalog; result: RescanResult }> {
  const catalog = (more.writer as ModelCatalog | undefined) ?? new ModelCatalog();
  const repository = await openRepository({ ...stores, unlock: PASSWORD });
  return { catalog, result: await rescan(repository, { ...more, writer: catalog }) };
}
const copy = async () => ({ meta: await copyStore(meta), data: await copyStore(data) });

test('everything that the service works from comes back from the objects', async () => {
  const { catalog, result } = await run({ meta, data });
  const id = lab.chain.id;
  const manifests = await collect(listManifests(lab.chain));
  expect(result).toMatchObject({ chains: 1, points: 2, findings: [], rolledBack: [], complete: true });
  expect(catalog.remembered).toEqual(rememberRepository(lab.chain.repository));
  // An independent look: what the listing of manifests says.
  const points = manifests.filter(({ manifest }) => manifest.state === 'point');
  expect([...catalog.points.keys()]).toEqual(points.map(({ manifest }) => `${id}/${manifest.sequence}`));
  for (const { manifest, tag } of points) {
    const row = catalog.points.get(`${id}/${manifest.sequence}`);
    expect(row?.tag).toBe(tag);
    expect(JSON.parse(row?.bytes ?? '')).toEqual(manifest);
  }
  expect(catalog.voids).toEqual(
    new Map([
      [`${id}/2`, 'removed'],
      [`${id}/4`, 'abandoned'],
    ]),
  );
  expect(catalog.machines).toEqual(new Map([[lab.chain.machine.id, [id]]]));
  const newest = points.at(-1)?.manifest;
  if (newest?.state !== 'point') throw new Error('no point');
  expect(catalog.chains.get(id)?.ended).toEqual({
    head: { sequence: 4, tag: manifests.at(-1)?.tag, state: 'void' },
    newest: 3,
    bases: Object.fromEntries(
      newest.disks.map(({ uniqueId, snapshotId, snapshotFamilyId }) => [
        uniqueId,
        { snapshotId, familyId: snapshotFamilyId },
      ]),
    ),
    diskNumbers: [
      { uniqueId: 'disk-a', number: 0 },
      { uniqueId: 'disk-b', number: 1 },
    ],
    points: [1, 3],
    damaged: [],
    open: [5],
  });
  expect(catalog.order).toEqual([
    'repository',
    'chain',
    'point',
    'removed',
    'point',
    'removed',
    'chainEnd',
    'machine',
  ]);
});

test('a rescan that is repeated, with what it remembered, changes nothing', async () => {
  const { catalog } = await run({ meta, data });
  const before = structuredClone(catalog.state());
  const { result } = await run({ meta, data }, { writer: catalog, remembered: catalog.memory() });
  expect(result.complete).toBe(true);
  expect(catalog.state()).toEqual(before);
});

test('a crash at any call, of the stores or of the catalog, leaves a rescan that can be repeated', async () => {
  const whole = (await run({ meta, data })).catalog.state();
  let fired = 0;
  for (const when of ['before', 'after'] as const) {
    for (let at = 1, ended = false; !ended; at++) {
      const plan = new CrashPlan(at, when);
      const stores = { meta: new CrashingStore(meta, plan), data: new CrashingStore(data, plan) };
      const catalog = new ModelCatalog().crashing(plan);
      const crashed = await run(stores, { writer: catalog }).then(
        () => false,
        (error: unknown) => {
          if (error instanceof Crash) return true;
          throw error;
        },
      );
      expect(crashed).toBe(plan.fired);
      if (plan.fired) fired++;
      else ended = true;
      // Heads come last: what was not written is not remembered.
      const again = new ModelCatalog();
      Object.assign(again, { ...catalog.state() });
      const { result } = await run({ meta, data }, { writer: again, remembered: catalog.memory() });
      expect(result.complete).toBe(true);
      expect(again.state()).toEqual(whole);
    }
  }
  expect(fired).toBeGreaterThanOrEqual(40);
});

describe('a chain that was rolled back', () => {
  const head = async () => (await run({ meta, data })).catalog.memory();

  test.each([
    ['the newest manifest is gone', 4],
    ['all manifests are gone', 1],
  ])('is held back: %s', async (_, from) => {
    const remembered = await head();
    const stores = await copy();
    for (let sequence = from; sequence <= 4; sequence++)
      await stores.meta.remove(`chains/${lab.chain.id}/points/0000000${sequence}.manifest`);
    const { catalog, result } = await run(stores, { remembered });
    expect(result.rolledBack).toEqual([
      { chain: lab.chain.id, remembered: remembered[0]?.head, problem: expect.any(String), accepted: false },
    ]);
    expect(result.complete).toBe(false);
    expect(catalog.order).toEqual(['repository']);
    const accepted = await run(stores, { remembered, accept: [lab.chain.id] });
    expect(accepted.result.rolledBack).toMatchObject([{ accepted: true }]);
    expect(accepted.result.complete).toBe(true);
    expect(accepted.catalog.heads.get(lab.chain.id)?.sequence ?? 0).toBe(from - 1);
  });

  test('is held back when it is gone as a whole, and lost when that is accepted', async () => {
    const remembered = await head();
    const stores = { meta: await copyStore(meta), data: new MemoryBlobStore('data') };
    for await (const { name } of meta.list('chains/')) await stores.meta.remove(name);
    const { catalog, result } = await run(stores, { remembered });
    expect(result.rolledBack).toMatchObject([{ chain: lab.chain.id, accepted: false }]);
    expect(catalog.lostChains).toEqual([]);
    expect((await run(stores, { remembered, accept: [lab.chain.id] })).catalog.lostChains).toEqual([
      lab.chain.id,
    ]);
  });

  test('by one manifest: a removed point that was put back is known by its remembered void', async () => {
    const old = await copy();
    const { bytes } = await meta.read(`chains/${lab.chain.id}/points/00000003.manifest`);
    const chain = { ...lab.chain, repository: { ...lab.chain.repository, ...old } };
    await removePoint(chain, { sequence: 3, by: 'test', now: NOW });
    const after = await run(old);
    const name = `chains/${lab.chain.id}/points/00000003.manifest`;
    await old.meta.replace(name, bytes, (await old.meta.read(name)).etag);
    const remembered = [
      { chain: lab.chain.id, head: after.catalog.heads.get(lab.chain.id) ?? null, removed: [2, 3] },
    ];
    expect((await run(old, { remembered })).result.rolledBack).toMatchObject([
      { problem: expect.stringContaining('removed restore point 3 is there again') },
    ]);
    // Without the number, the head alone does not tell.
    expect((await run(old, { remembered: after.catalog.memory() })).result.rolledBack).toEqual([]);
  });

  test('whose head is another one under the same number is held back; one whose head was removed is not', async () => {
    const stores = await copy();
    const [known] = await head();
    const other = { chain: lab.chain.id, head: { sequence: 4, tag: '0'.repeat(32) } };
    // Remembered as a point, and void by abandonment now: that is never so.
    expect((await run(stores, { remembered: [other] })).result.rolledBack).toHaveLength(1);
    const three = await run(stores);
    const tag = three.catalog.points.get(`${lab.chain.id}/3`)?.tag ?? '';
    const chain = { ...lab.chain, repository: { ...lab.chain.repository, ...stores } };
    await removePoint(chain, { sequence: 3, by: 'test', now: NOW });
    const remembered = [{ chain: lab.chain.id, head: { sequence: 3, tag } }];
    expect((await run(stores, { remembered })).result.complete).toBe(true);
    expect(known?.head?.state).toBe('void');
  });

  test('by its owner document is held against the remembered term', async () => {
    const stores = await copy();
    const repository = await openRepository({ ...stores, unlock: PASSWORD });
    await takeOwnership(repository, { installation: 'one', now: NOW });
    const { result } = await run(stores, { ownerCounter: 2 });
    expect(result.rolledBack).toMatchObject([{ chain: 'owner', accepted: false }]);
    expect((await run(stores, { ownerCounter: 1 })).result.complete).toBe(true);
    expect((await run(stores, { ownerCounter: 2, accept: ['owner'] })).result.complete).toBe(true);
  });
});

describe('damage', () => {
  const damage = async (stores: { meta: BlobStore }, name: string) => {
    const { bytes, etag } = await stores.meta.read(name);
    bytes[bytes.length - 1] = (bytes[bytes.length - 1] ?? 0) ^ 1;
    await stores.meta.replace(name, bytes, etag);
  };

  test('of any object in meta is reported by its name, or harmless, and what is whole comes back', async () => {
    const clean = (await run({ meta, data })).catalog;
    const names = (await collect(meta.list('chains/'))).map(({ name }) => name);
    expect(names.length).toBeGreaterThan(8);
    for (const name of names) {
      const stores = await copy();
      await damage(stores, name);
      const { catalog, result } = await run(stores, { remembered: clean.memory() });
      // A tree has its length: content is the checker's. A claim on a decided number is needed by nobody.
      const number = Number(/(\d+)\.manifest$/.exec(name)?.[1]);
      const harmless = name.endsWith('.tree') || /0000000[1-4]\.session$/.test(name);
      expect([name, result.findings.map(({ object }) => object)]).toEqual([name, harmless ? [] : [name]]);
      expect(result.rolledBack).toEqual([]);
      const rows = new Map(name.endsWith('/chain') ? [] : clean.points);
      rows.delete(`${lab.chain.id}/${number}`);
      expect(catalog.points).toEqual(rows);
      const points = result.findings.flatMap((finding) => finding.points);
      expect(points.includes(`${lab.chain.id}/${number}`)).toBe(!Number.isNaN(number));
    }
  });

  test('of the newest manifest does not lower the remembered head', async () => {
    const clean = (await run({ meta, data })).catalog;
    const stores = await copy();
    await damage(stores, `chains/${lab.chain.id}/points/00000004.manifest`);
    const { catalog } = await run(stores, { remembered: clean.memory() });
    expect(catalog.chains.get(lab.chain.id)?.ended).toMatchObject({ damaged: [4], newest: 3 });
    expect(catalog.heads.get(lab.chain.id)).toEqual(clean.heads.get(lab.chain.id));
  });

  test('of a tree is what the checker finds', async () => {
    const name = `chains/${lab.chain.id}/maps/00000003.0000-001.tree`;
    const stores = await copy();
    await damage(stores, name);
    const checked = await checkRepository({ ...stores, unlock: PASSWORD, depth: 'structure' });
    expect(checked.findings.map(({ object }) => object)).toEqual([name]);
  });

  test('an object that is missing is named with its point: tree, map, manifest and claim together', async () => {
    const names = [
      ...(await collect(meta.list('chains/'))).filter(({ name }) => name.endsWith('.tree')),
      ...(await collect(data.list('chains/'))).filter(({ name }) => name.endsWith('.map')),
    ].map(({ name }) => name);
    let told = 0;
    for (const name of names) {
      const stores = await copy();
      await stores.meta.remove(name);
      await stores.data.remove(name);
      const { result, catalog } = await run(stores);
      expect(catalog.points.size).toBe(2);
      for (const { object } of result.findings) expect(object).toBe(name);
      told += result.findings.length;
    }
    // The removed point's own objects are missed by nobody.
    expect(told).toBeGreaterThanOrEqual(4);
    const stores = await copy();
    const base = `chains/${lab.chain.id}/points/00000001`;
    await stores.meta.remove(`${base}.manifest`);
    await stores.meta.remove(`${base}.session`);
    expect((await run(stores)).result.findings).toMatchObject([{ object: `${base}.manifest` }]);
  });

  test('of one chain leaves the others, in the same machine and in others', async () => {
    const stores = await copy();
    const second = new Lab({ ...stores, blockBytes: 4 * KiB });
    await second.found();
    const repository = await openRepository({ ...stores, unlock: PASSWORD });
    const machine = { id: '00000000-0000-4000-8000-000000000002', armId: '/s/y', name: 'vm2' };
    const founding = (session: string, createdAt: string) => ({
      id: session.slice(-16),
      machine,
      session,
      createdAt,
    });
    const younger = founding('01jd000000000000bbbb', '2026-12-01T00:00:00.000Z');
    const older = founding('01jd000000000000cccc', '2026-11-01T00:00:00.000Z');
    await createChain(repository, younger);
    await createChain(repository, older);
    await stores.meta.remove(`chains/${lab.chain.id}/chain`);
    const { catalog, result } = await run(stores);
    expect(result.findings).toEqual([
      {
        object: `chains/${lab.chain.id}/chain`,
        problem: expect.stringContaining('missing'),
        points: [1, 2, 3, 4].map((n) => `${lab.chain.id}/${n}`),
      },
    ]);
    expect(catalog.machines).toEqual(new Map([[machine.id, [older.id, younger.id]]]));
  });

  test('of the stores themselves ends the rescan: an answer that did not come says nothing', async () => {
    const failing = new FailingReads(meta, /\.manifest$/);
    await expect(run({ meta: failing, data })).rejects.toMatchObject({ code: 'unavailable' });
    expect(failing.fired).toBe(1);
  });
});

describe('a repository that another installation made', () => {
  const adopt = (stores: { meta: BlobStore; data: BlobStore }, installation: string, more = {}) =>
    adoptRepository({ ...stores, unlock: PASSWORD, installation, now: NOW, ...more });

  test('is adopted with its password, and rescanned with nothing remembered', async () => {
    const stores = await copy();
    const { repository, owner, takenFrom } = await adopt(stores, 'new');
    expect({ owner, takenFrom }).toMatchObject({
      owner: { installation: 'new', counter: 1 },
      takenFrom: null,
    });
    const catalog = new ModelCatalog();
    expect(await rescan(repository, { writer: catalog })).toMatchObject({ points: 2, complete: true });
    await expect(
      adoptRepository({ ...stores, unlock: { password: 'wrong' }, installation: 'new', now: NOW }),
    ).rejects.toMatchObject({ code: 'wrongPassword' });
  });

  test('is refused while it has an owner, taken over when told so, and its old owner is fenced', async () => {
    const stores = await copy();
    const one = await adopt(stores, 'one');
    await assertOwner(one.repository, one.owner);
    await expect(adopt(stores, 'two')).rejects.toMatchObject({ code: 'notOwner', target: 'owner' });
    expect(await readOwner(one.repository)).toMatchObject(one.owner);
    // Named, but another: nobody loses it by mistake.
    await expect(adopt(stores, 'two', { takeOver: 'three' })).rejects.toMatchObject({
      code: 'notOwner',
      message: expect.stringMatching(
        /belongs to installation one since .*, last seen .*three, which does not/,
      ),
    });
    const two = await adopt(stores, 'two', { takeOver: 'one' });
    expect(two).toMatchObject({ takenFrom: 'one', owner: { counter: 2 } });
    await expect(assertOwner(one.repository, one.owner)).rejects.toMatchObject({ code: 'notOwner' });
    await assertOwner(two.repository, two.owner);
    // Taking it back is another term: what still runs from the first one stays fenced.
    const back = await adopt(stores, 'one', { takeOver: true });
    await expect(assertOwner(one.repository, one.owner)).rejects.toMatchObject({ code: 'notOwner' });
    await assertOwner(back.repository, back.owner);
    await stores.meta.remove('owner');
    await expect(assertOwner(back.repository, back.owner)).rejects.toMatchObject({
      code: 'notOwner',
      message: expect.stringContaining('nobody'),
    });
  });

  test('whose descriptor is lost says so, and comes back from a chain when told to', async () => {
    const stores = await copy();
    await adopt(stores, 'one');
    await stores.meta.remove('repository');
    await expect(adopt(stores, 'one')).rejects.toMatchObject({
      code: 'missingObject',
      message: expect.stringContaining('copy of the key slots'),
    });
    const { repository } = await adopt(stores, 'one', { recover: true });
    expect(repository.id).toBe(lab.chain.repository.id);
    const empty = { meta: new MemoryBlobStore('meta'), data: new MemoryBlobStore('data') };
    await expect(adopt(empty, 'one')).rejects.toMatchObject({ code: 'missingObject' });
  });

  test('shows when its owner was last seen, exact to an hour', async () => {
    const time = { at: NOW };
    const store = new MemoryBlobStore('meta', () => time.at);
    const repository = await createRepository({
      meta: store,
      data: new MemoryBlobStore('data'),
      unlock: PASSWORD,
      now: NOW,
      scrypt: CHEAP,
    });
    const seen = async (at: string): Promise<string | undefined> => {
      time.at = new Date(at);
      await takeOwnership(repository, { installation: 'one', now: time.at });
      return (await readOwner(repository))?.seenAt.toISOString();
    };
    expect(await seen('2026-11-21T10:00:00.000Z')).toBe('2026-11-21T10:00:00.000Z');
    expect(await seen('2026-11-21T10:59:00.000Z')).toBe('2026-11-21T10:00:00.000Z');
    expect(await seen('2026-11-21T11:30:00.000Z')).toBe('2026-11-21T11:30:00.000Z');
    // The same term: what runs for it goes on.
    expect(await readOwner(repository)).toMatchObject({ counter: 1, since: '2026-11-21T10:00:00.000Z' });
    time.at = new Date('2026-11-25T00:00:00Z');
    await expect(takeOwnership(repository, { installation: 'two', now: time.at })).rejects.toMatchObject({
      code: 'notOwner',
      message: expect.stringContaining('last seen 2026-11-21T11:30:00.000Z'),
    });
  });

  test('of two that take it over at once, the later one wins and the other is fenced', async () => {
    const stores = await copy();
    await adopt(stores, 'one');
    const both = await Promise.all([
      adopt(stores, 'two', { takeOver: true }),
      adopt(stores, 'three', { takeOver: true }),
    ]);
    const held = await Promise.allSettled(
      both.map(({ repository, owner }) => assertOwner(repository, owner)),
    );
    expect(held.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
  });
});

test('mode none is rescanned alike, and the answer says what its checksums are good for', async () => {
  const plain = await Lab.start({ unlock: { mode: 'none' } });
  const disk = new ModelDisk('disk-a', 32);
  disk.write(0, 8, 7);
  await plain.backup([disk]);
  const result = await rescan(plain.chain.repository, { writer: new ModelCatalog() });
  expect(result).toMatchObject({
    points: 1,
    complete: true,
    protection: expect.stringMatching(/not attackers/),
  });
});
