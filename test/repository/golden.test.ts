import { createHash, hkdfSync } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join, relative, sep } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  checkRepository,
  FolderBlobStore,
  listChains as listLibraryChains,
  listManifests,
  MemoryBlobStore,
  openChain,
  openPoint,
  openRepository,
} from '../../lib/repository/index.ts';
import { type Expected, goldenRepositories } from './golden/expected.ts';
import { PASSWORD, writeGolden } from './golden/make.ts';
import { type Containers, IndependentReader, listChains } from './independentReader.ts';

const GOLDEN = goldenRepositories();
const unlockOf = ({ password }: Expected) => (password === null ? { mode: 'none' as const } : { password });

/** Names of all files below a folder, as objects are named. */
const namesIn = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => relative(folder, join(parentPath, name)).split(sep).join('/'))
    .sort();

/** A golden repository in memory, with a change of one object where wanted. */
function contentOf(folder: string, changed?: { container: 'meta' | 'data'; name: string; bytes: Buffer }) {
  const reader = (container: 'meta' | 'data') => (name: string) =>
    changed?.container === container && changed.name === name
      ? changed.bytes
      : readFileSync(join(folder, container, name));
  const orNull = (container: 'meta' | 'data') => (name: string) =>
    existsSync(join(folder, container, name)) ? reader(container)(name) : null;
  const containers: Containers = { meta: orNull('meta'), data: orNull('data') };
  const stores = async () => {
    const stores = { meta: new MemoryBlobStore('meta'), data: new MemoryBlobStore('data') };
    for (const container of ['meta', 'data'] as const) {
      for (const name of namesIn(join(folder, container)))
        await stores[container].create(name, reader(container)(name));
    }
    return stores;
  };
  return { containers, stores };
}

/** What the program reads of it, in the shape of `expected.json`. */
async function readByLibrary(folder: string, expected: Expected): Promise<Expected> {
  const repository = await openRepository({
    meta: new FolderBlobStore(join(folder, 'meta')),
    data: new FolderBlobStore(join(folder, 'data')),
    unlock: unlockOf(expected),
  });
  const chains = [];
  for await (const id of listLibraryChains(repository)) {
    const chain = await openChain(repository, id);
    const voids = [];
    const points = [];
    for await (const { manifest } of listManifests(chain)) {
      const { sequence } = manifest;
      if (manifest.state === 'void') {
        voids.push({ sequence, reason: manifest.reason });
        continue;
      }
      const point = await openPoint(chain, sequence);
      const disks = [];
      for (const { number, uniqueId, sizeBytes } of manifest.disks) {
        const content = Buffer.alloc(sizeBytes);
        for await (const run of (await point.disk(number)).blocks()) {
          for (const { block, bytes } of run) bytes.copy(content, block * chain.blockBytes);
        }
        disks.push({ number, uniqueId, sizeBytes, sha256: sha256(content) });
      }
      points.push({ sequence, retention: manifest.retention, disks });
    }
    chains.push({ id, machine: chain.machine, blockBytes: chain.blockBytes, voids, points });
  }
  const { format, password } = expected;
  return { format, mode: repository.mode, password, repository: repository.id, chains };
}

/** The same by the reader that knows only the format page. */
function readIndependently(folder: string, expected: Expected): Expected {
  const reader = new IndependentReader(contentOf(folder).containers, expected.password);
  const chains = [...listChains(namesIn(join(folder, 'meta')))].map(([id, sequences]) => {
    const { machine, blockBytes } = reader.chain(id);
    const manifests = sequences.map((sequence) => reader.manifest(id, sequence));
    return {
      id,
      machine,
      blockBytes,
      voids: manifests.flatMap(({ state, sequence, reason = '' }) =>
        state === 'void' ? [{ sequence, reason }] : [],
      ),
      points: manifests
        .filter(({ state }) => state === 'point')
        .map(({ sequence, retention, disks }) => ({
          sequence,
          retention,
          disks: disks.map(({ number, uniqueId, sizeBytes }) => {
            const content = reader.disk(id, sequence, number);
            return { number, uniqueId, sizeBytes, sha256: sha256(content) };
          }),
        })),
    };
  });
  const { format, mode, password } = expected;
  return { format, mode, password, repository: reader.id, chains };
}

const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

test('there is a golden repository of each mode, and each is small', () => {
  expect(GOLDEN.map(({ name }) => name)).toEqual(['v1-encrypted', 'v1-none']);
  for (const { folder } of GOLDEN) {
    const bytes = namesIn(folder).reduce((sum, name) => sum + statSync(join(folder, name)).size, 0);
    expect(bytes).toBeLessThan(300 * 1024);
  }
});

test('the program of today writes the golden content so that the independent reader gets the same disks', async () => {
  const stores = { meta: new MemoryBlobStore('meta'), data: new MemoryBlobStore('data') };
  const fresh = await writeGolden(stores, { password: PASSWORD });
  const old = GOLDEN.find(({ expected }) => expected.mode === 'encrypted')?.expected;
  expect(fresh).toEqual({ ...old, repository: fresh.repository });
  const objects = new Map<string, Buffer>();
  for (const container of ['meta', 'data'] as const) {
    for await (const { name } of stores[container].list(''))
      objects.set(`${container} ${name}`, (await stores[container].read(name)).bytes);
  }
  const object = (container: 'meta' | 'data') => (name: string) =>
    objects.get(`${container} ${name}`) ?? null;
  const reader = new IndependentReader({ meta: object('meta'), data: object('data') }, fresh.password);
  for (const { id, points } of fresh.chains) {
    for (const { sequence, disks } of points) {
      for (const disk of disks) expect(sha256(reader.disk(id, sequence, disk.number))).toBe(disk.sha256);
    }
  }
});

test('the independent reader imports nothing of the program, and is shorter than 400 lines', () => {
  const source = readFileSync(new URL('./independentReader.ts', import.meta.url), 'utf8');
  const imports = [...source.matchAll(/(?:from|import\()\s*'([^']+)'/g)].map(([, from]) => from);
  expect(imports).toEqual(['node:crypto', 'node:zlib']);
  expect(source.trimEnd().split('\n').length).toBeLessThan(400);
});

test('the worked example on the format page holds', () => {
  const page = readFileSync(new URL('../../docs/format.md', import.meta.url), 'utf8');
  const { folder, expected } = GOLDEN.find(({ name }) => name === 'v1-encrypted') ?? {};
  if (!folder || !expected) throw new Error('no golden repository');
  const { containers } = contentOf(folder);
  const reader = new IndependentReader(containers, expected.password);
  const example = page.slice(page.indexOf('## Worked example'));
  const rows = [...example.matchAll(/^\| `([a-z/0-9]+)` +\| `([0-9a-f]{64})` \|$/gm)];
  expect(rows.map(([, purpose = '']) => purpose)).toEqual([
    'document',
    'meta',
    `chain/${expected.chains[0]?.id}`,
    'digest',
  ]);
  for (const [, purpose = '', hex] of rows) expect(reader.key(purpose)?.toString('hex')).toBe(hex);
  const [, name = '', objectKey = ''] = /object key of `([^`]+)` +\| `([0-9a-f]{64})`/.exec(example) ?? [];
  const header = containers.meta(name)?.subarray(8, 40) ?? '';
  const info = Buffer.from(`\u0002${expected.chains[0]?.id}\0${name}`);
  expect(Buffer.from(hkdfSync('sha256', reader.key('meta') ?? '', header, info, 32)).toString('hex')).toBe(
    objectKey,
  );
});

describe.each(GOLDEN)('golden repository $name', ({ folder, expected }) => {
  test('the program reads what was written then', async () => {
    expect(await readByLibrary(folder, expected)).toEqual(expected);
  });

  test('the reader that knows only the format page reads the same', () => {
    expect(readIndependently(folder, expected)).toEqual(expected);
  });

  test('it checks clean, and its garbage is what a removed point and a session under way leave', async () => {
    const { stores } = contentOf(folder);
    const result = await checkRepository({
      ...(await stores()),
      unlock: unlockOf(expected),
      depth: 'content',
    });
    expect(result.findings).toEqual([]);
    expect(result.points).toBe(expected.chains.flatMap(({ points }) => points).length);
    for (const { object } of result.garbage) expect(object).toMatch(/\/maps\/00000002|\/packs\/00000002/);
  });

  test('one changed byte in any object is named by the checker, unless nothing needs the object', async () => {
    const clean = await checkRepository({
      ...(await contentOf(folder).stores()),
      unlock: unlockOf(expected),
      depth: 'content',
    });
    const garbage = new Set(clean.garbage.map(({ object }) => object));
    for (const container of ['meta', 'data'] as const) {
      for (const [i, name] of namesIn(join(folder, container)).entries()) {
        if (garbage.has(name)) continue;
        const bytes = readFileSync(join(folder, container, name));
        // Another place in each object; a place in the first half and one in the second.
        for (const at of [
          (i * 37) % (bytes.length >> 1),
          bytes.length - 1 - ((i * 53) % (bytes.length >> 1)),
        ]) {
          const flipped = Buffer.from(bytes);
          flipped[at] = (flipped[at] ?? 0) ^ (1 << (i & 7));
          const { stores } = contentOf(folder, { container, name, bytes: flipped });
          const { findings } = await checkRepository({
            ...(await stores()),
            unlock: unlockOf(expected),
            depth: 'content',
          });
          expect(findings.map(({ object }) => object)).toContain(name);
        }
      }
    }
  });

  test('one changed byte never reaches a restored disk by the independent reader', () => {
    const chain = expected.chains[0];
    const point = chain?.points.at(-1);
    const disk = point?.disks[0];
    if (!chain || !point || !disk) throw new Error('no disk');
    let refused = 0;
    for (const container of ['meta', 'data'] as const) {
      for (const [i, name] of namesIn(join(folder, container)).entries()) {
        const bytes = readFileSync(join(folder, container, name));
        const at = (i * 61 + 41) % bytes.length;
        bytes[at] = (bytes[at] ?? 0) ^ (1 << (i & 7));
        const { containers } = contentOf(folder, { container, name, bytes });
        let content: Buffer;
        try {
          content = new IndependentReader(containers, expected.password).disk(
            chain.id,
            point.sequence,
            disk.number,
          );
        } catch {
          refused++;
          continue;
        }
        expect({ name, sha256: sha256(content) }).toEqual({ name, sha256: disk.sha256 });
      }
    }
    // Descriptor, chain, manifest, tree, and the maps and packs of this disk.
    expect(refused).toBeGreaterThanOrEqual(7);
  });
});
