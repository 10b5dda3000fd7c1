import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { vhdFooter } from '../../lib/azure/vhdFooter.ts';
import { KiB } from '../../lib/model/index.ts';
import { Lab } from '../datapath/lab.ts';
import { ModelDisk, SECTOR } from '../datapath/modelDisk.ts';
import { bytesOut, copyToFolder, ImageDisk, offline, temporaryFolder } from './offlineLab.ts';

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
beforeAll(async () => {
  folder = await temporaryFolder();
});
afterAll(() => folder.remove());

let names = 0;
const fresh = (suffix = '') => join(folder.path, `${++names}${suffix}`);

/** A repository with history: later points mix blocks of several packs within a page. Copied to a folder, and forgotten. */
async function makeHistory() {
  const lab = await Lab.start({ shardBytes: 200 * KiB });
  const os = new ModelDisk('os', 5003);
  const data = new ModelDisk('data', 3000);
  os.write(0, 900, 3);
  os.write(4990, 13, 5);
  data.write(100, 60, 4);
  await lab.backup([os, data]);
  for (let i = 0; i < 20; i++) os.write(i * 48 + 3, 9, 6 + i);
  os.discard(300, 80);
  await lab.backup([os, data]);
  for (let i = 0; i < 10; i++) os.write(i * 96 + 40, 9, 40 + i);
  os.grow(3001);
  os.write(7000, 30, 7);
  await lab.backup([os, data]);
  return lab;
}
let made: Promise<Lab> | undefined;
/** The same history for each test, in a folder of its own. */
async function history() {
  const lab = await (made ??= makeHistory());
  return { lab, repository: await copyToFolder(lab.stores, fresh()) };
}
const contentOf = (lab: Lab, sequence: number, uniqueId: string): Buffer => {
  const snapshot = lab.truth.get(sequence)?.get(uniqueId);
  if (!snapshot) throw new Error(`no ${uniqueId} in ${sequence}`);
  return snapshot.content;
};

describe('restore-disk', () => {
  test('from a folder copy equals the source byte for byte: each disk of each point, as file, as stream, as VHD', async () => {
    const { lab, repository } = await history();
    for (const [sequence, disks] of lab.truth) {
      for (const [number, [, { content }]] of [...disks].entries()) {
        const target = [`${lab.chain.id}/${sequence}`, '--disk', `${number}`, '--repository', repository];
        const raw = fresh('.raw');
        const restored = await offline(['restore-disk', ...target, '--output', raw, '-o', raw]);
        expect(restored).toMatchObject({ code: 0 });
        expect(content.equals(await readFile(raw))).toBe(true);
        expect(existsSync(`${raw}.partial`)).toBe(false);

        const { stream, bytes } = bytesOut();
        const piped = await offline(['restore-disk', ...target, '--output', '-'], { bytesOut: () => stream });
        expect(piped).toMatchObject({ code: 0, out: '' });
        expect(content.equals(bytes())).toBe(true);

        const vhd = fresh('.vhd');
        await offline(['restore-disk', ...target, '--output', vhd, '--format', 'vhd']);
        const image = await readFile(vhd);
        expect(image.subarray(0, content.length).equals(content)).toBe(true);
        const footer = image.subarray(content.length);
        const plain = vhdFooter(content.length);
        // All but time, checksum and id.
        expect(footer.subarray(28, 64).equals(plain.subarray(28, 64))).toBe(true);
        expect(footer.length).toBe(512);
      }
    }
  });

  test('any history streams in disk order and equals the file', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(fc.tuple(fc.nat(2900), fc.integer({ min: 1, max: 100 })), { maxLength: 12 }), {
          minLength: 1,
          maxLength: 4,
        }),
        async (sessions) => {
          const lab = await Lab.start({ shardBytes: 300 * KiB });
          const disk = new ModelDisk('os', 3001);
          for (const [session, writes] of sessions.entries()) {
            for (const [at, count] of writes) disk.write(at, count, session + 1);
            await lab.backup([disk]);
          }
          const repository = await copyToFolder(lab.stores, fresh());
          const { stream, bytes } = bytesOut();
          const point = `${lab.chain.id}/${sessions.length}`;
          const argv = ['restore-disk', point, '--repository', repository, '--output'];
          expect(await offline([...argv, '-'], { bytesOut: () => stream })).toMatchObject({ code: 0 });
          expect(bytes().equals(disk.content)).toBe(true);
          const file = fresh('.raw');
          await offline([...argv, file]);
          expect(readFileSync(file).equals(disk.content)).toBe(true);
          await rm(repository, { recursive: true });
        },
      ),
      { numRuns: 8 },
    );
  });

  test('the result is told to programs, and progress goes to stderr', async () => {
    const { lab, repository } = await history();
    const file = fresh('.raw');
    const point = `${lab.chain.id}/1`;
    const argv = [
      '-o',
      'json',
      'restore-disk',
      point,
      '--disk',
      '1',
      '--repository',
      repository,
      '--output',
      file,
    ];
    const { out, err } = await offline(argv);
    expect(JSON.parse(out)).toEqual({
      restorePoint: point,
      disk: 1,
      name: 'data',
      file,
      format: 'raw',
      sizeBytes: 3000 * SECTOR,
      dataBytes: 8 * 4096,
    });
    expect(err).toBe('disk 1 (data): 32.0 KiB of 32.0 KiB (100%) in 0s\n');
  });

  test('zeros are holes, also inside of a stored block', async () => {
    const lab = await Lab.start({ blockBytes: 1024 * KiB });
    const disk = new ModelDisk('os', 64 * 2048);
    // One sector of data in each of four blocks of a mebibyte.
    for (const block of [0, 9, 30, 63]) disk.write(block * 2048 + 1000, 1, 3);
    await lab.backup([disk]);
    const repository = await copyToFolder(lab.stores, fresh());
    const file = fresh('.raw');
    await offline(['restore-disk', `${lab.chain.id}/1`, '--repository', repository, '--output', file]);
    const { size, blocks } = statSync(file);
    expect(size).toBe(64 * 1024 * KiB);
    expect(blocks * 512).toBeLessThanOrEqual(4 * 64 * KiB);
    expect(disk.content.equals(readFileSync(file))).toBe(true);
  });

  test('a file that exists is kept unless --force is given', async () => {
    const { lab, repository } = await history();
    const file = fresh('.raw');
    await writeFile(file, 'precious');
    const argv = [
      'restore-disk',
      `${lab.chain.id}/1`,
      '--disk',
      '1',
      '--repository',
      repository,
      '--output',
      file,
    ];
    const refused = await offline(argv);
    expect(refused).toMatchObject({ code: 1, err: expect.stringContaining('--force') as string });
    expect(await readFile(file, 'utf8')).toBe('precious');
    expect((await offline([...argv, '--force'])).code).toBe(0);
    expect(contentOf(lab, 1, 'data').equals(await readFile(file))).toBe(true);
  });

  test.each([
    ['a folder that is missing', 'no/such/disk.raw', 2],
    ['a folder', '.', 2],
  ])('%s is refused as output', async (_what, output, exitCode) => {
    const { lab, repository } = await history();
    const argv = ['restore-disk', `${lab.chain.id}/1`, '--disk', '1', '--repository', repository];
    const { code, err } = await offline([...argv, '--output', output], { cwd: folder.path });
    expect({ code, secret: err.includes('correct horse') }).toEqual({ code: exitCode, secret: false });
  });

  test('which disk is meant must be said where there are several', async () => {
    const { lab, repository } = await history();
    const argv = ['restore-disk', `${lab.chain.id}/1`, '--repository', repository, '--output', fresh('.raw')];
    expect(await offline(argv)).toMatchObject({
      code: 2,
      err: expect.stringContaining('0 (os), 1 (data)') as string,
    });
    expect(await offline([...argv, '--disk', '7'])).toMatchObject({ code: 3 });
    expect((await offline([...argv, '--disk', 'os'])).code).toBe(2);
  });
});

describe('a restore that fails', () => {
  const pack = (lab: Lab) => `chains/${lab.chain.id}/packs/00000001-0000-000000-001-000000.pack`;
  async function damaged(how: 'flip' | 'delete') {
    const { lab, repository } = await history();
    const path = join(repository, 'data', pack(lab));
    if (how === 'delete') await rm(path);
    else {
      const bytes = await readFile(path);
      bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
      await writeFile(path, bytes);
    }
    return { lab, argv: ['restore-disk', `${lab.chain.id}/1`, '--disk', '0', '--repository', repository] };
  }

  test.each(['flip', 'delete'] as const)('names the pack (%s) and leaves no file', async (how) => {
    const { lab, argv } = await damaged(how);
    const target = fresh();
    await mkdir(target);
    const { code, out, err } = await offline([...argv, '--output', join(target, 'disk.raw')]);
    expect({ code, out }).toEqual({ code: 1, out: '' });
    expect(err).toContain(pack(lab));
    expect(readdirSync(target)).toEqual([]);
  });

  test('with --keep says where the partial file is', async () => {
    const { argv } = await damaged('flip');
    const file = fresh('.raw');
    const { code, err } = await offline([...argv, '--output', file, '--keep']);
    expect(code).toBe(1);
    expect(err).toContain(`${file}.partial`);
    expect(statSync(`${file}.partial`).size).toBe(5003 * SECTOR);
    expect(existsSync(file)).toBe(false);
  });

  test('with --force leaves the file that was there', async () => {
    const { argv } = await damaged('flip');
    const file = fresh('.raw');
    await writeFile(file, 'precious');
    expect((await offline([...argv, '--output', file, '--force'])).code).toBe(1);
    expect(await readFile(file, 'utf8')).toBe('precious');
  });

  test('to stdout exits with 1 and writes nothing of what is damaged', async () => {
    const { lab, argv } = await damaged('flip');
    const { stream, bytes } = bytesOut();
    const { code, err } = await offline([...argv, '--output', '-'], { bytesOut: () => stream });
    expect(code).toBe(1);
    expect(err).toContain(pack(lab));
    const content = contentOf(lab, 1, 'os');
    expect(bytes().equals(content.subarray(0, bytes().length))).toBe(true);
    expect(bytes().length).toBeLessThan(content.length);
  });

  test('because its reader went away exits with 1', async () => {
    const { lab, repository } = await history();
    const { stream } = bytesOut(100 * KiB);
    const argv = [
      'restore-disk',
      `${lab.chain.id}/1`,
      '--disk',
      '0',
      '--repository',
      repository,
      '--output',
      '-',
    ];
    const { code, err } = await offline(argv, { bytesOut: () => stream });
    expect(code).toBe(1);
    expect(err).toContain('its reader went away');
  });

  test('because it was interrupted leaves no file, and exits with 130', async () => {
    const { lab, repository } = await history();
    const file = fresh('.raw');
    const stop = new AbortController();
    const clock = {
      // The clock is asked when the restore begins.
      now: () => {
        stop.abort(new Error('interrupted'));
        return new Date();
      },
      sleep: () => Promise.resolve(),
    };
    const argv = [
      'restore-disk',
      `${lab.chain.id}/1`,
      '--disk',
      '0',
      '--repository',
      repository,
      '--output',
      file,
    ];
    const { code } = await offline(argv, { signal: stop.signal, clock });
    expect(code).toBe(130);
    expect([existsSync(file), existsSync(`${file}.partial`)]).toEqual([false, false]);
  });
});

/** The path of a program of a Debian package; null where it is not installed. */
const tool = (name: string): string | null =>
  [...(process.env.PATH ?? '').split(':'), '/sbin', '/usr/sbin']
    .map((path) => join(path, name))
    .find(existsSync) ?? null;
const qemuImg = tool('qemu-img');
const mke2fs = tool('mke2fs');
const e2fsck = tool('e2fsck');

describe('a real file system', () => {
  const missing = [
    qemuImg ? '' : 'qemu-img (Debian: qemu-utils)',
    mke2fs && e2fsck ? '' : 'mke2fs and e2fsck (Debian: e2fsprogs)',
  ].filter(Boolean);
  const why = missing.length > 0 ? ` [skipped: needs ${missing.join(' and ')}]` : '';

  test.skipIf(missing.length > 0)(
    `an ext4 disk in two versions restores identical and clean, as raw and as VHD${why}`,
    async () => {
      const MEBIBYTES = 48;
      const tree = fresh();
      const makeImage = async (version: number): Promise<string> => {
        const image = fresh('.img');
        await mkdir(join(tree, `etc-${version}`), { recursive: true });
        for (let i = 0; i < 40; i++)
          await writeFile(join(tree, `etc-${version}`, `file-${i}`), `${version} ${i} `.repeat(20_000));
        const options = [
          '-q',
          '-t',
          'ext4',
          '-F',
          '-d',
          tree,
          '-E',
          'hash_seed=00000000-0000-4000-8000-000000000001',
        ];
        const uuid = ['-U', '00000000-0000-4000-8000-000000000001'];
        execFileSync(mke2fs ?? '', [...options, ...uuid, image, `${MEBIBYTES}M`]);
        return image;
      };
      const lab = await Lab.start({ blockBytes: 64 * KiB, shardBytes: 8 * 1024 * KiB });
      const disk = new ImageDisk('os', MEBIBYTES * 2048);
      const images: string[] = [];
      for (const version of [1, 2]) {
        const image = await makeImage(version);
        images.push(image);
        disk.load(await readFile(image));
        await lab.backup([disk]);
      }
      const repository = await copyToFolder(lab.stores, fresh());
      for (const [i, image] of images.entries()) {
        for (const format of ['raw', 'vhd']) {
          const file = fresh(`.${format}`);
          const argv = ['restore-disk', `${lab.chain.id}/${i + 1}`, '--repository', repository];
          const { code, err } = await offline([...argv, '--output', file, '--format', format]);
          expect({ code, err }).toMatchObject({ code: 0 });
          const driver = format === 'raw' ? 'raw' : 'vpc';
          const said = execFileSync(qemuImg ?? '', [
            'compare',
            '-f',
            'raw',
            '-F',
            driver,
            image,
            file,
          ]).toString();
          expect(said).toContain('Images are identical.');
          if (format === 'raw') execFileSync(e2fsck ?? '', ['-fn', file], { stdio: 'pipe' });
        }
      }
    },
    60_000,
  );
});
