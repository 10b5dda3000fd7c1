/**
 * The images of a run: a real ext4 disk, about 60 % full of programs, libraries, packages, logs, a database-like file and archives,
 * and a second version of it with 4 to 5 % of its bytes changed. Made once for a size, and kept.
 */
import { spawnSync } from 'node:child_process';
import { createCipheriv } from 'node:crypto';
import {
  closeSync,
  constants,
  copyFileSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { type DiskLists, listsOf, type Ranges } from './diskLists.ts';
import { spreadRanges } from './sparseImage.ts';

const MiB = 1024 * 1024;
const PAGE = 8192;

export interface Images {
  readonly first: string;
  readonly next: string;
  readonly lists: DiskLists;
  /** The disk is so many times as large as the files, with their content spread over it. */
  readonly spread: number;
  /** What is allocated of the first file. */
  readonly inFile: Ranges;
}

/** The same content on a disk that is `spread` times as large. */
export function spreadOver({ first, next, lists, inFile }: Images, spread: number): Images {
  const { sizeBytes, allocated, changed, cleared } = lists;
  const of = (ranges: Ranges) => spreadRanges(ranges, spread);
  return {
    first,
    next,
    spread,
    inFile,
    lists: {
      sizeBytes: sizeBytes * spread,
      allocated: { first: of(allocated.first), next: of(allocated.next) },
      changed: of(changed),
      cleared: of(cleared),
    },
  };
}

export interface MakeImages {
  readonly folder: string;
  readonly sizeBytes: number;
  /** Real folders to take files from; none: generated files only. */
  readonly sources: readonly { readonly folder: string; readonly share: number }[];
}

/** Bytes that look random and are the same each time. */
function noise(seed: number, length: number): Buffer {
  const key = Buffer.alloc(32, seed & 0xff);
  key.writeUInt32LE(seed >>> 0, 4);
  return createCipheriv('aes-256-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(length));
}

/** A generator of numbers in [0, 1), the same each time. */
function numbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

function writeFile(path: string, bytes: number, piece: (index: number) => Buffer): void {
  mkdirSync(dirname(path), { recursive: true });
  const file = openSync(path, 'w');
  for (let at = 0, index = 0; at < bytes; index++) {
    const part = piece(index).subarray(0, bytes - at);
    writeSync(file, part);
    at += part.length;
  }
  closeSync(file);
}

const WORDS = 'request user session token cache disk queue retry timeout accepted closed upstream'.split(' ');

/** Lines of a service's log. */
function log(seed: number): (index: number) => Buffer {
  const next = numbers(seed);
  let time = 1_790_000_000_000;
  return () => {
    const lines: string[] = [];
    for (let i = 0; i < 4000; i++) {
      time += Math.floor(next() * 900);
      const word = () => WORDS[Math.floor(next() * WORDS.length)];
      const id = Math.floor(next() * 2 ** 32).toString(16);
      lines.push(
        `${new Date(time).toISOString()} INFO [worker-${Math.floor(next() * 16)}] ${word()} ${word()} id=${id} ms=${Math.floor(next() * 900)} path=/api/v1/${word()}/${Math.floor(next() * 1e6)} ${word()}`,
      );
    }
    return Buffer.from(`${lines.join('\n')}\n`);
  };
}

/** Pages of a table: a header, line pointers, free space, rows of numbers and text. */
function heapPage(page: number, version: number): Buffer {
  const next = numbers(page * 31 + version * 7919 + 1);
  const bytes = Buffer.alloc(PAGE);
  bytes.writeUInt32LE(page, 0);
  bytes.writeUInt32LE(version, 4);
  let end = PAGE;
  for (let row = 0; row < 60 && end > 1200; row++) {
    const text = `${WORDS[Math.floor(next() * WORDS.length)]}-${Math.floor(next() * 1e9).toString(36)}@example.org`;
    end -= 88;
    bytes.writeUInt32LE(page * 60 + row, end);
    bytes.writeDoubleLE(next() * 1e6, end + 8);
    bytes.writeUInt32LE(Math.floor(next() * 2 ** 32), end + 16);
    bytes.write(text.slice(0, 56), end + 24, 'latin1');
    bytes.writeUInt16LE(end, 24 + row * 4);
  }
  return bytes;
}

/** Puts files of `from` into `to` until `budget` bytes are there. Links where it can. */
function take(from: string, to: string, budget: number): void {
  let left = budget;
  const walk = (folder: string, target: string): void => {
    if (left <= 0) return;
    let names: string[];
    try {
      names = readdirSync(folder).sort();
    } catch {
      return;
    }
    for (const name of names) {
      if (left <= 0) return;
      const path = join(folder, name);
      const stat = lstatSync(path, { throwIfNoEntry: false });
      if (stat?.isDirectory()) walk(path, join(target, name));
      if (!stat?.isFile() || stat.size > left) continue;
      mkdirSync(target, { recursive: true });
      try {
        linkSync(path, join(target, name));
      } catch {
        copyFileSync(path, join(target, name));
      }
      left -= Math.max(stat.size, 4096);
    }
  };
  walk(from, to);
}

function run(program: string, args: readonly string[], input?: string): string {
  const done = spawnSync(program, args, {
    encoding: 'utf8',
    maxBuffer: 1024 * MiB,
    ...(input ? { input } : {}),
  });
  if (done.error || done.status !== 0) {
    const why = done.error?.message ?? done.stderr.trim();
    throw new Error(`${program} failed: ${why}. It comes with the Debian package e2fsprogs.`);
  }
  return done.stdout;
}

/** Makes both images in `folder`, or finds them there. */
export function makeImages({ folder, sizeBytes, sources }: MakeImages): Images {
  const first = join(folder, 'v1.raw');
  const next = join(folder, 'v2.raw');
  if (!existsSync(join(folder, 'lists.json'))) {
    const staging = join(folder, 'files');
    rmSync(staging, { recursive: true, force: true });
    mkdirSync(join(staging, 'root'), { recursive: true });
    fill(join(staging, 'root'), sizeBytes, sources);
    writeFileSync(first, '');
    truncateSync(first, sizeBytes);
    // No lazy initialisation, no journal of a real clock: what is on the disk is what was put there.
    run('mke2fs', [
      '-q',
      '-F',
      '-t',
      'ext4',
      '-b',
      '4096',
      '-E',
      'lazy_itable_init=0',
      '-d',
      join(staging, 'root'),
      first,
    ]);
    copyFileSync(first, next, constants.COPYFILE_FICLONE);
    change(join(staging, 'root'), join(staging, 'new'), next, sizeBytes);
    rmSync(staging, { recursive: true, force: true });
  }
  return openImages(first, next, join(folder, 'lists.json'));
}

/** Opens two images; what is allocated and what differs is found by reading both, once. */
export function openImages(first: string, next: string, keep: string): Images {
  if (statSync(first).size !== statSync(next).size) throw new Error('The two images differ in size.');
  const lists = existsSync(keep)
    ? (JSON.parse(readFileSync(keep, 'utf8')) as DiskLists)
    : keepLists(listsOf(first, next), keep);
  return { first, next, lists, spread: 1, inFile: lists.allocated.first };
}

function keepLists(lists: DiskLists, keep: string): DiskLists {
  writeFileSync(`${keep}.part`, JSON.stringify(lists));
  renameSync(`${keep}.part`, keep);
  return lists;
}

function fill(root: string, sizeBytes: number, sources: MakeImages['sources']): void {
  const share = (of: number) => Math.floor(sizeBytes * of);
  for (const [i, { folder, share: of }] of sources.entries())
    take(folder, join(root, `tree${i}`, basename(folder)), share(of));
  const real = sources.reduce((sum, source) => sum + source.share, 0);
  writeFile(join(root, 'log/service.log'), share(0.05), log(1));
  writeFile(join(root, 'db/heap'), Math.ceil(share(0.08) / PAGE) * PAGE, (page) => heapPage(page, 1));
  writeFile(join(root, 'archive/first'), share(0.12), (i) => noise(i, 4 * MiB));
  // Where no real files are given, text and numbers stand in for them.
  const missing = Math.max(0, 0.35 - real);
  if (missing > 0) writeFile(join(root, 'log/other.log'), share(missing), log(2));
}

/** Replaces libraries, adds an archive, a log and small files, and rewrites pages of the database in place. */
function change(root: string, fresh: string, image: string, sizeBytes: number): void {
  mkdirSync(fresh, { recursive: true });
  const script: string[] = [];
  let left = sizeBytes * 0.018;
  const replace = (folder: string, path: string): void => {
    for (const name of readdirSync(folder).sort().reverse()) {
      if (left <= 0) return;
      const from = join(folder, name);
      const stat = lstatSync(from);
      if (stat.isDirectory()) replace(from, `${path}/${name}`);
      if (!stat.isFile() || stat.size < 256 * 1024 || !/^[\w.+-]+$/.test(name)) continue;
      const bytes = readFileSync(from);
      // A new build: shifted, with small differences all over.
      for (let at = 100; at < bytes.length; at += 3000) bytes[at] = (bytes[at] ?? 0) ^ 0x55;
      const to = join(fresh, `lib${script.length}`);
      writeFileSync(to, Buffer.concat([noise(script.length, 40), bytes]));
      script.push(`rm ${path}/${name}`, `write ${to} ${path}/${name}`);
      left -= stat.size;
    }
  };
  for (const name of readdirSync(root).filter((one) => one.startsWith('tree')))
    replace(join(root, name), `/${name}`);
  writeFile(join(fresh, 'archive'), Math.floor(sizeBytes * 0.009), (i) => noise(1000 + i, 4 * MiB));
  writeFile(join(fresh, 'log'), Math.floor(sizeBytes * 0.009), log(3));
  script.push(
    `write ${join(fresh, 'archive')} /archive/second`,
    `write ${join(fresh, 'log')} /log/newer.log`,
  );
  for (let i = 0; i < 400; i++) {
    const small = join(fresh, `small${i}`);
    writeFile(small, 1 + ((i * 37) % 9000), log(100 + i));
    script.push(`write ${small} /small${i}`);
  }
  run('debugfs', ['-w', '-f', '-', image], `${script.join('\n')}\n`);
  const blocks = run('debugfs', ['-R', 'blocks /db/heap', image]).trim().split(/\s+/).map(Number);
  const file = openSync(image, 'r+');
  const pick = numbers(5);
  for (let i = 0; i < Math.floor((sizeBytes * 0.0045) / PAGE); i++) {
    const page = Math.floor(pick() ** 2 * (blocks.length / 2));
    const bytes = heapPage(page, 2);
    for (const half of [0, 1]) {
      const block = blocks[page * 2 + half];
      if (block) writeSync(file, bytes, half * 4096, 4096, block * 4096);
    }
  }
  closeSync(file);
}
