import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { array, assert, nat, property, record, stringMatching, uniqueArray } from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { KiB, MiB } from '../../lib/model/index.ts';
import { DB_PAGE, LOG_LINE, logBlock } from '../../local/demo/content.ts';
import type { ImageFile } from '../../local/demo/ext4Writer.ts';
import { checkImage, type ImageMaker, makeImage, openImage } from '../../local/demo/image.ts';
import { seededBytes, seededNumbers } from '../../local/demo/randomBytes.ts';
import { DEMO_MACHINES } from '../../local/demo/subscription.ts';
import { runWorkload, type WorkloadFile } from '../../local/demo/workload.ts';

let folder: string;
let image: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'holdfast-demo-'));
  image = join(folder, 'disk.img');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const hasE2fsprogs = (() => {
  const probe = mkdtempSync(join(tmpdir(), 'holdfast-probe-'));
  try {
    makeImage(join(probe, 'x.img'), 64 * MiB, [], 'probe', ['own']);
    return checkImage(join(probe, 'x.img')) !== undefined;
  } finally {
    rmSync(probe, { recursive: true });
  }
})();
const makers: ImageMaker[] = hasE2fsprogs ? ['own', 'mke2fs'] : ['own'];

/** A file as the reader finds it on the disk. */
function contentOf(path: string): Buffer {
  const disk = openImage(image);
  const { sizeBytes, stretches } = disk.locate(path);
  const content = Buffer.alloc(sizeBytes);
  for (const { fileOffset, diskOffset, length } of stretches)
    disk.read(diskOffset, length).copy(content, fileOffset);
  disk.close();
  return content;
}
const sha = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');

/** Has e2fsck look at the image; does nothing where it is missing (the skipped test below says so). */
function checkWhereInstalled(): void {
  const checked = checkImage(image);
  if (checked && !checked.clean) throw new Error(checked.report);
}

const FILES: ImageFile[] = [
  { path: '/etc/hostname', content: Buffer.from('x') },
  { path: '/empty', content: Buffer.alloc(0) },
  { path: '/a/b/c/deep', content: seededBytes('deep', 5 * MiB + 17) },
  // More than one group of 128 MiB holds.
  { path: '/big', content: seededBytes('big', 140 * MiB) },
  ...Array.from({ length: 300 }, (_, n) => ({
    path: `/many/a-name-of-some-length-${n}`,
    content: Buffer.from(String(n)),
  })),
];

describe.each(makers)('an image made by %s', (maker) => {
  test('holds every file, byte by byte, in a file system that is clean', () => {
    expect(makeImage(image, 512 * MiB, FILES, 'seed', [maker])).toBe(maker);
    expect(statSync(image).size).toBe(512 * MiB);
    for (const { path, content } of FILES) expect([path, sha(contentOf(path))]).toEqual([path, sha(content)]);
    const disk = openImage(image);
    expect(disk.list('/').sort()).toEqual(['a', 'big', 'empty', 'etc', 'lost+found', 'many']);
    disk.close();
    checkWhereInstalled();
  });

  test('stays clean, and keeps its other files, however long the workload writes to it', async () => {
    const log = Buffer.alloc(32 * LOG_LINE * 7, `${' '.repeat(LOG_LINE - 1)}\n`);
    const still = seededBytes('still', MiB);
    const files = [
      { path: '/log', content: log },
      { path: '/db', content: seededBytes('db', 40 * DB_PAGE) },
      { path: '/still', content: still },
    ];
    makeImage(image, 64 * MiB, files, 'seed', [maker]);
    const disk = openImage(image);
    const busy = (path: string, kind: 'log' | 'database'): WorkloadFile => ({
      kind,
      disk: 'd',
      host: 'h',
      path,
      ...disk.locate(path),
    });
    const handle = await open(image, 'r+');
    const state = { turn: 0, positions: {} };
    const sizes: number[] = [];
    for (let turn = 0; turn < 10; turn++) {
      sizes.push(
        await runWorkload(
          [busy('/log', 'log'), busy('/db', 'database')],
          state,
          new Date(0),
          async (_, offset, bytes) => {
            expect([offset % 4096, bytes.length % 4096]).toEqual([0, 0]);
            await handle.write(bytes, 0, bytes.length, offset);
          },
        ),
      );
    }
    await handle.close();
    disk.close();
    expect(new Set(sizes)).toEqual(new Set([2 * 4096 + 3 * DB_PAGE]));
    expect(contentOf('/still')).toEqual(still);
    // Two blocks a turn into a log of seven: the ring began again after three turns, so the seventh block is never reached.
    const lines = contentOf('/log').toString('latin1').split('\n');
    expect(lines.slice(0, 6 * 32).every((line) => line.startsWith('1970-01-01T00:00:00.000Z h '))).toBe(true);
    expect(lines.slice(6 * 32, -1).every((line) => line.trim() === '')).toBe(true);
    expect(state).toEqual({ turn: 10, positions: { 'd:/log': 2 * 4096 } });
    checkWhereInstalled();
  });
});

test.skipIf(!hasE2fsprogs)(
  'e2fsck is installed: it has checked the images above, and mke2fs made some',
  () => {
    expect(makers).toEqual(['own', 'mke2fs']);
  },
);

test('the same seed gives the same image, another seed another', () => {
  const made = (seed: string) => {
    makeImage(image, 128 * MiB, FILES.slice(0, 3), seed, ['own']);
    return sha(readFileSync(image));
  };
  const first = made('a');
  expect(made('a')).toBe(first);
  expect(made('b')).not.toBe(first);
});

test('any files that fit are found again, and e2fsck agrees', () => {
  const name = stringMatching(/^[a-z0-9._-]{1,40}$/).filter((text) => !/^\.\.?$/.test(text));
  const path = array(name, { minLength: 1, maxLength: 4 }).map((names) => `/d${names.join('/d')}`);
  const files = uniqueArray(record({ path, length: nat(300_000) }), {
    maxLength: 40,
    selector: ({ path }) => path,
  });
  assert(
    property(files, (wanted) => {
      // A path cannot be a file and a directory at once.
      const fit = wanted.filter(({ path }) => !wanted.some((other) => other.path.startsWith(`${path}/`)));
      const all = fit.map(({ path, length }) => ({ path, content: seededBytes(path, length) }));
      makeImage(image, 64 * MiB, all, 'seed', ['own']);
      for (const { path, content } of all) expect(contentOf(path).equals(content)).toBe(true);
      checkWhereInstalled();
    }),
    { numRuns: 15 },
  );
});

test('an image that is too small says so', () => {
  const files = [{ path: '/big', content: Buffer.alloc(100 * MiB, 1) }];
  expect(() => makeImage(image, 64 * MiB, files, 'seed', ['own'])).toThrow(/full: no room for \/big/);
  expect(() => makeImage(image, 128 * MiB + 400 * KiB, [], 'seed', ['own'])).toThrow(/last block group/);
});

test('the demo has four machines, one with two data disks, one with an unmanaged disk, and each busy file exists on its disk', () => {
  expect(
    DEMO_MACHINES.map(({ disks }) => disks.filter(({ lun }) => lun !== null).length).toSorted(
      (a, b) => a - b,
    ),
  ).toEqual([0, 0, 1, 2]);
  const disks = DEMO_MACHINES.flatMap((machine) => machine.disks);
  expect(disks.filter(({ unmanaged }) => unmanaged).map(({ name }) => name)).toEqual(['old-1-os']);
  expect(new Set(disks.map(({ name }) => name)).size).toBe(disks.length);
  for (const disk of disks) {
    const made = disk.files();
    const bytes = made.reduce((sum, { content }) => sum + content.length, 0);
    expect(bytes / MiB).toBeGreaterThan(35);
    expect(bytes / MiB).toBeLessThan(150);
    for (const { path } of disk.busy) {
      const content = made.find((file) => file.path === path)?.content ?? Buffer.alloc(1);
      expect([path, content.length % DB_PAGE]).toEqual([path, 0]);
      // A block of zeros would get no space.
      const blocks = Array.from({ length: content.length / 4096 }, (_, n) =>
        content.subarray(n * 4096, n * 4096 + 4096),
      );
      expect([path, blocks.filter((block) => block.every((byte) => byte === 0)).length]).toEqual([path, 0]);
    }
  }
});

test('a block of a log is 32 lines of one length', () => {
  const block = logBlock('a-host', new Date(0), seededNumbers('s'));
  expect(block.length).toBe(32 * LOG_LINE);
  const lines = block.toString('latin1').split('\n');
  expect(lines.map((line) => line.length)).toEqual([...Array.from({ length: 32 }, () => LOG_LINE - 1), 0]);
});
