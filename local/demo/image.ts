import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  closeSync,
  ftruncateSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { openExt4, type ReadAt } from './ext4Reader.ts';
import { type ImageFile, writeExt4 } from './ext4Writer.ts';

/** How an image was made: by e2fsprogs, with a journal and checksums, or by the writer of this project. */
export type ImageMaker = 'mke2fs' | 'own';

/** The time in every time stamp of a demo image: the same files give the same image, today and tomorrow. */
const MADE_AT = new Date(Date.UTC(2026, 0, 1));
/** e2fsprogs is often outside the PATH of users. */
const TOOL_PATH = `${process.env.PATH ?? ''}:/usr/sbin:/sbin:/usr/local/sbin:/opt/homebrew/opt/e2fsprogs/sbin`;

/**
 * Makes a raw ext4 image of `sizeBytes` at `file`, holding `files`: with mke2fs where it is installed, else by itself.
 * Needs no rights. The image is sparse where the platform knows sparse files.
 */
export function makeImage(
  file: string,
  sizeBytes: number,
  files: readonly ImageFile[],
  seed: string,
  makers: readonly ImageMaker[] = ['mke2fs', 'own'],
): ImageMaker {
  for (const maker of makers) {
    if (maker === 'mke2fs' && !withMke2fs(file, sizeBytes, files, seed)) continue;
    if (maker === 'own') writeExt4(file, sizeBytes, files, seed, MADE_AT);
    return maker;
  }
  throw new Error(`No way to make a file system at ${file}: tried ${makers.join(', ')}.`);
}

/** False when mke2fs is missing, or too old to fill a file system (`-d`). */
function withMke2fs(file: string, sizeBytes: number, files: readonly ImageFile[], seed: string): boolean {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-image-'));
  try {
    for (const { path, content } of files) {
      const target = join(folder, path);
      mkdirSync(dirname(target), { recursive: true });
      writeFileSync(target, content);
    }
    const fd = openSync(file, 'w');
    ftruncateSync(fd, sizeBytes);
    closeSync(fd);
    const uuid = uuidOf(seed);
    const made = spawnSync(
      'mke2fs',
      ['-q', '-F', '-t', 'ext4', '-b', '4096', '-L', seed.slice(-16), '-U', uuid].concat([
        '-E',
        `root_owner=0:0,hash_seed=${uuid},nodiscard`,
        '-J',
        'size=4',
        '-d',
        folder,
        file,
      ]),
      {
        stdio: ['ignore', 'ignore', 'pipe'],
        encoding: 'utf8',
        env: { PATH: TOOL_PATH, E2FSPROGS_FAKE_TIME: String(MADE_AT.getTime() / 1000), LC_ALL: 'C' },
      },
    );
    return made.status === 0;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The outcome of `e2fsck -fn` on an image; undefined where e2fsprogs is missing. */
export function checkImage(file: string): { clean: boolean; report: string } | undefined {
  const checked = spawnSync('e2fsck', ['-f', '-n', file], {
    encoding: 'utf8',
    env: { PATH: TOOL_PATH, LC_ALL: 'C' },
  });
  if (checked.error) return undefined;
  return { clean: checked.status === 0, report: `${checked.stdout}${checked.stderr}` };
}

/** Opens the file system in an image file; `close` ends it. */
export function openImage(file: string): ReturnType<typeof openExt4> & { read: ReadAt; close(): void } {
  const fd = openSync(file, 'r');
  const read: ReadAt = (offset, length) => {
    const bytes = Buffer.alloc(length);
    readSync(fd, bytes, 0, length, offset);
    return bytes;
  };
  return { ...openExt4(read), read, close: () => closeSync(fd) };
}

function uuidOf(seed: string): string {
  const hex = createHash('sha256').update(seed).digest('hex');
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `4${hex.slice(13, 16)}`,
    `8${hex.slice(17, 20)}`,
    hex.slice(20, 32),
  ].join('-');
}
