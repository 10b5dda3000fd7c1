import { spawn } from 'node:child_process';
import { mkdtemp, open, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Content } from '../../local/azure/disks/content.ts';
import { type ByteRange, importRaw, openDiskStore } from '../../local/azure/disks/index.ts';
import { diskScript, playModel, SCRIPT_DISK_BYTES } from './diskScript.ts';
import { DiskModel } from './disksModel.ts';

const PAGE = 4096;
const MIB = 1024 ** 2;
const TIB = 1024 ** 4;
let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'holdfast-disks-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function collect<T>(list: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of list) all.push(item);
  return all;
}

async function bytesOf(dir: string): Promise<number> {
  let total = 0;
  for (const name of await readdir(dir)) total += (await stat(join(dir, name))).size;
  return total;
}

describe('a disk of 4 TiB', () => {
  test('is written, snapshotted, copied, listed, compared and opened anew at the cost of its data', async () => {
    const took: Record<string, number> = {};
    const inTime = async <T>(name: string, work: () => Promise<T>): Promise<T> => {
      const start = performance.now();
      const result = await work();
      took[name] = performance.now() - start;
      return result;
    };
    const memory = () => {
      const { heapUsed, external, arrayBuffers } = process.memoryUsage();
      return heapUsed + external + arrayBuffers;
    };
    const before = memory();
    let store = await inTime('open', () => openDiskStore(folder));
    await inTime('create', () => store.create('disk', 4 * TIB));
    const part = Buffer.alloc(64 * 1024, 1);
    const offsets = Array.from({ length: 1024 }, (_, at) => at * 4 * 1024 * MIB);
    for (const offset of offsets) await store.write('disk', offset, part);
    await inTime('snapshot', () => store.snapshot('disk', 'snap1'));
    await inTime('clone', () => store.clone('snap1', 'copy', 5 * TIB));
    await store.write('disk', 4 * TIB - PAGE, part.subarray(0, PAGE));
    await inTime('clear half', () => store.clear('disk', 0, 2 * TIB));
    await inTime('second snapshot', () => store.snapshot('disk', 'snap2'));
    const list = await inTime('list', () => collect(store.ranges('snap1')));
    expect(list).toEqual(offsets.map((offset) => ({ offset, length: part.length })));
    const expected: (ByteRange & { clear: boolean })[] = offsets
      .filter((offset) => offset < 2 * TIB)
      .map((offset) => ({ offset, length: part.length, clear: true }));
    expected.push({ offset: 4 * TIB - PAGE, length: PAGE, clear: false });
    expect(await inTime('diff', () => collect(store.diff('snap2', 'snap1')))).toEqual(expected);
    await inTime('stat', async () => expect(store.stat('copy').allocatedBytes).toBe(64 * MIB));
    await store.close();
    store = await inTime('open anew', () => openDiskStore(folder));
    expect(await inTime('list anew', () => collect(store.ranges('copy')))).toEqual(list);
    await inTime('delete', () => store.delete('snap1'));
    expect(await bytesOf(join(folder, 'content'))).toBeLessThan(66 * MIB);
    expect(memory() - before).toBeLessThan(48 * MIB);
    expect(Object.entries(took).filter(([, milliseconds]) => milliseconds >= 1000)).toEqual([]);
    await store.close();
  });
});

describe('what was acknowledged', () => {
  test.each([1, 2, 3, 4, 5, 6])('survives SIGKILL of the writer at any moment (%i)', async (seed) => {
    const acknowledged = await writeAndKill(seed, seed * 37);
    const store = await openDiskStore(folder);
    const [sure, maybe] = [new DiskModel(), new DiskModel()];
    for (const model of [sure, maybe]) model.create('disk', SCRIPT_DISK_BYTES);
    const steps = diskScript(seed);
    for (let step = 0; step < acknowledged; step += 1) {
      const { value } = steps.next();
      for (const model of [sure, maybe]) playModel(model, value);
    }
    playModel(maybe, steps.next().value);
    // The step that was under way when the process died may have happened, and a write may have happened in part.
    const ids = store.list().sort();
    expect([sure, maybe].map(({ heads }) => [...heads.keys()].sort())).toContainEqual(ids);
    for (const id of ids) {
      const models = [sure, maybe].filter(({ heads }) => heads.has(id));
      const bytes = await store.read(id, 0, SCRIPT_DISK_BYTES);
      const wanted = models.map((model) => model.read(id));
      for (let at = 0; at < bytes.length; at += 512) {
        const sector = bytes.subarray(at, at + 512);
        expect(
          wanted.some((all) => all.subarray(at, at + 512).equals(sector)),
          `${id} at ${at}`,
        ).toBe(true);
      }
      expect(models.map((model) => model.ranges(id))).toContainEqual(await collect(store.ranges(id)));
      for (const previous of ids.filter((other) => other !== 'disk' && models[0]?.heads.has(other))) {
        if (store.describe(previous).sequence > store.describe(id).sequence && id !== 'disk') continue;
        const allowed = models
          .filter(({ heads }) => heads.has(previous))
          .map((model) => model.diff(id, previous));
        expect(allowed).toContainEqual(await collect(store.diff(id, previous)));
      }
    }
    await store.close();
  });

  /** Runs a writer, kills it after `count` acknowledgements and returns how many it had printed in the end. */
  async function writeAndKill(seed: number, count: number): Promise<number> {
    const script = join(import.meta.dirname, 'diskWriter.ts');
    const child = spawn(process.execPath, [script, folder, String(seed)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let printed = 0;
    child.stdout.on('data', (dots: Buffer) => {
      printed += dots.length;
      if (printed >= count) child.kill('SIGKILL');
    });
    const [signal] = await new Promise<[NodeJS.Signals | null]>((resolve) => {
      child.once('close', (_code, by) => resolve([by]));
    });
    expect(signal).toBe('SIGKILL');
    return printed;
  }

  test('a torn record at the end of a journal is dropped', async () => {
    let store = await openDiskStore(folder);
    await store.create('disk', MIB);
    await store.write('disk', 0, Buffer.alloc(PAGE, 1));
    await store.close();
    const [journal = ''] = await readdir(join(folder, 'layers'));
    const file = await open(join(folder, 'layers', journal), 'a');
    await file.write(Buffer.alloc(17, 9));
    await file.close();
    store = await openDiskStore(folder);
    expect(await collect(store.ranges('disk'))).toEqual([{ offset: 0, length: PAGE }]);
    await store.write('disk', 8 * PAGE, Buffer.alloc(PAGE, 2));
    await store.close();
    store = await openDiskStore(folder);
    expect(await collect(store.ranges('disk'))).toEqual([
      { offset: 0, length: PAGE },
      { offset: 8 * PAGE, length: PAGE },
    ]);
    await store.close();
  });

  test('an unreadable list of disks is an error that names the file, not an empty store', async () => {
    const store = await openDiskStore(folder);
    await store.create('disk', MIB);
    await store.close();
    await writeFile(join(folder, 'catalog.json'), '{"format":1');
    await expect(openDiskStore(folder)).rejects.toMatchObject({
      code: 'damaged',
      message: expect.stringContaining('catalog.json'),
    });
    // And the folder is not left locked.
    await rm(join(folder, 'catalog.json'));
    await (await openDiskStore(folder)).close();
  });
});

describe('side by side', () => {
  test('snapshots keep their bytes while the disk is written, cleared, snapshotted and deleted from at full speed', async () => {
    const store = await openDiskStore(folder);
    const pages = 64;
    await store.create('disk', pages * PAGE);
    const work: Promise<unknown>[] = [];
    const live: { id: string; fill: number; made: Promise<void> }[] = [];
    const isIntact = async ({ id, fill }: { id: string; fill: number }) => {
      const bytes = await store.read(id, 0, pages * PAGE);
      expect([id, bytes.equals(Buffer.alloc(pages * PAGE, fill))]).toEqual([id, true]);
    };
    let checked = 0;
    for (let round = 1; round < 80; round += 1) {
      const fill = (round % 255) + 1;
      // From the end to the start: the content of a snapshot lies in many places.
      for (let page = pages - 2; page >= 0; page -= 2) {
        work.push(store.write('disk', page * PAGE, Buffer.alloc(2 * PAGE, fill)));
      }
      const made = store.snapshot('disk', `snap${round}`);
      live.push({ id: `snap${round}`, fill, made });
      work.push(store.clear('disk', (round % 32) * PAGE, 32 * PAGE));
      const [gone] = live.length > 3 ? live.splice(round % 3, 1) : [];
      if (gone) {
        // Deleted while it is being read, and others with it: the readers still get what was there.
        const neighbours = live.slice(0, -1);
        const readAndDelete = async () => {
          await Promise.all([gone, ...neighbours].map((snapshot) => snapshot.made));
          const reads = [gone, gone, ...neighbours.filter(({ id }) => store.has(id))].map(isIntact);
          checked += reads.length;
          await Promise.all([...reads, store.delete(gone.id)]);
        };
        work.push(readAndDelete());
      }
      if (round % 10 === 0) await Promise.all(work.splice(0));
    }
    await Promise.all(work);
    await Promise.all(live.map(isIntact));
    expect(checked).toBeGreaterThan(200);
    // Freed space is used again: far less than 80 generations of 64 pages.
    expect(await bytesOf(join(folder, 'content'))).toBeLessThan(40 * pages * PAGE);
    await store.close();
  });

  test('a freed place is not used again before the reads that had begun are done', async () => {
    const content = new Content(join(folder, 'content'), []);
    const [run] = content.allocate(64);
    await content.write(0, Buffer.alloc(64 * PAGE, 7));
    const target = Buffer.alloc(64 * PAGE);
    const plan = Array.from({ length: 64 }, (_, page) => ({
      slot: page,
      within: 0,
      at: page * PAGE,
      length: PAGE,
    }));
    const reading = content.read(target, plan);
    content.release(run ? [run] : []);
    expect(content.allocate(64)).toEqual([{ slot: 64, count: 64 }]);
    await reading;
    expect(target.equals(Buffer.alloc(64 * PAGE, 7))).toBe(true);
    expect(content.allocate(64)).toEqual([{ slot: 0, count: 64 }]);
    content.close();
  });

  test('writes to one page from many callers all arrive', async () => {
    const store = await openDiskStore(folder);
    await store.create('disk', PAGE);
    await Promise.all(
      Array.from({ length: 8 }, (_, at) => store.write('disk', at * 512, Buffer.alloc(512, at + 1))),
    );
    const expected = Buffer.concat(Array.from({ length: 8 }, (_, at) => Buffer.alloc(512, at + 1)));
    expect((await store.read('disk', 0, PAGE)).equals(expected)).toBe(true);
    await store.close();
  });

  test('a folder belongs to one store at a time', async () => {
    const store = await openDiskStore(folder);
    await expect(openDiskStore(folder)).rejects.toMatchObject({ code: 'inUse' });
    await store.close();
    await (await openDiskStore(folder)).close();
  });
});

test('space of deleted disks goes back to the file system', async () => {
  const store = await openDiskStore(folder);
  await store.create('disk', 64 * MIB);
  await store.write('disk', 0, Buffer.alloc(32 * MIB, 1));
  await store.snapshot('disk', 'snap');
  await store.delete('disk');
  expect(await bytesOf(join(folder, 'content'))).toBe(32 * MIB);
  await store.delete('snap');
  expect(await bytesOf(join(folder, 'content'))).toBe(0);
  expect(store.list()).toEqual([]);
  await store.close();
});

test('an imported raw image keeps its bytes and only the pages that are not zeros', async () => {
  const image = join(folder, 'image.raw');
  const file = await open(image, 'w');
  await file.write(Buffer.alloc(10, 1), 0, 10, 3 * PAGE + 100);
  await file.write(Buffer.alloc(2 * PAGE, 2), 0, 2 * PAGE, 4 * MIB - PAGE);
  await file.write(Buffer.alloc(100, 3), 0, 100, 9 * MIB);
  await file.close();
  const store = await openDiskStore(join(folder, 'store'));
  expect(await importRaw(store, 'disk', image)).toBe(3 * PAGE + 512);
  expect(store.describe('disk').sizeBytes).toBe(9 * MIB + 512);
  expect(await collect(store.ranges('disk'))).toEqual([
    { offset: 3 * PAGE, length: PAGE },
    { offset: 4 * MIB - PAGE, length: 2 * PAGE },
    { offset: 9 * MIB, length: 512 },
  ]);
  expect((await store.read('disk', 0, 9 * MIB + 100)).equals(await readFile(image))).toBe(true);
  await store.close();
});

test('what cannot be is refused by name', async () => {
  const store = await openDiskStore(folder);
  await store.create('disk', MIB);
  await store.snapshot('disk', 'snap');
  await store.create('other', MIB);
  const refused = (work: Promise<unknown>, code: string) => expect(work).rejects.toMatchObject({ code });
  await refused(store.create('disk', MIB), 'exists');
  await refused(store.create('odd', 1000), 'misaligned');
  await refused(store.snapshot('disk', 'snap'), 'exists');
  await refused(store.snapshot('snap', 'snap2'), 'readOnly');
  await refused(store.write('snap', 0, Buffer.alloc(512)), 'readOnly');
  await refused(store.clear('snap', 0, 512), 'readOnly');
  await refused(store.write('disk', 100, Buffer.alloc(512)), 'misaligned');
  await refused(store.write('disk', MIB, Buffer.alloc(512)), 'outOfRange');
  await refused(store.read('disk', MIB - 1, 2), 'outOfRange');
  await refused(store.resize('disk', MIB / 2), 'shrink');
  await refused(store.clone('snap', 'small', MIB / 2), 'shrink');
  await refused(store.delete('nothing'), 'notFound');
  await refused(store.completeUpload('disk'), 'readOnly');
  await refused(collect(store.diff('snap', 'other')), 'otherLineage');
  await refused(collect(store.diff('snap', 'disk')), 'previousIsNewer');
  expect(store.list().sort()).toEqual(['disk', 'other', 'snap']);
  await store.close();
});

test('the revision of a disk changes with every change, that of a snapshot never', async () => {
  let store = await openDiskStore(folder);
  await store.create('disk', MIB);
  await store.snapshot('disk', 'snap');
  const seen = new Set([store.describe('disk').revision]);
  const snapshot = store.describe('snap').revision;
  await store.write('disk', 0, Buffer.alloc(512));
  seen.add(store.describe('disk').revision);
  await store.write('disk', 0, Buffer.alloc(512));
  seen.add(store.describe('disk').revision);
  await store.close();
  store = await openDiskStore(folder);
  seen.add(store.describe('disk').revision);
  expect(seen.size).toBe(4);
  expect(store.describe('snap').revision).toBe(snapshot);
  await store.close();
});
