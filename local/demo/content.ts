import { readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { KiB, MiB } from '../../lib/model/index.ts';
import type { ImageFile } from './ext4Writer.ts';
import { seededBytes, seededNumbers } from './randomBytes.ts';

/** Length of a line of a log, line end included. Logs are written in whole blocks of 4 KiB: 32 lines. */
export const LOG_LINE = 128;
/** A page of the database file. */
export const DB_PAGE = 8 * KiB;

const NODE_MODULES = join(dirname(fileURLToPath(import.meta.url)), '../../node_modules');
const WORDS =
  'order customer basket payment invoice item stock shelf parcel label route driver depot refund voucher session login search result page image upload cache worker queue retry timeout latency region tenant quota'.split(
    ' ',
  );

/** What stands on the disk of an operating system: settings, documents, programs that do not compress, a log with room. */
export function osFiles(host: string, seed: string): ImageFile[] {
  return [
    text('/etc/hostname', `${host}\n`),
    text('/etc/os-release', 'NAME="Demo Linux"\nVERSION_ID="1"\n'),
    text('/etc/fstab', '/dev/sda / ext4 defaults 0 1\n'),
    text(`/etc/${host}.conf`, `[server]\nname = ${host}\nport = 8080\n`),
    ...documents('/usr/share/doc', 3 * MiB),
    ...numbered(4, (n) => ({
      path: `/usr/lib/lib${n}.so`,
      content: seededBytes(`${seed}/lib${n}`, 4 * MiB),
    })),
    ...numbered(6, (n) => ({
      path: `/srv/reports/${2020 + n}.txt`,
      content: prose(`${seed}/report${n}`, 2 * MiB),
    })),
    { path: '/var/log/app.log', content: log(host, seed, 8 * MiB, 2 * MiB) },
  ];
}

/** A disk with a database and what people uploaded. */
export function databaseFiles(host: string, seed: string): ImageFile[] {
  return [
    { path: '/db/data.db', content: database(seed, 32 * MiB) },
    { path: '/db/journal.log', content: log(host, seed, 8 * MiB, MiB) },
    ...numbered(20, (n) => ({
      path: `/uploads/${String(n).padStart(4, '0')}.jpg`,
      content: seededBytes(`${seed}/photo${n}`, MiB),
    })),
  ];
}

/** A disk with old logs and archives. */
export function archiveFiles(host: string, seed: string): ImageFile[] {
  return [
    ...numbered(6, (n) => ({
      path: `/logs/${host}-${n}.log`,
      content: log(host, `${seed}/${n}`, 4 * MiB, 4 * MiB),
    })),
    ...numbered(4, (n) => ({
      path: `/archive/backup-${n}.zip`,
      content: seededBytes(`${seed}/zip${n}`, 4 * MiB),
    })),
    { path: '/logs/current.log', content: log(host, seed, 4 * MiB, 0) },
  ];
}

/** 32 lines, exactly a block. */
export function logBlock(host: string, at: Date, next: () => number): Buffer {
  let lines = '';
  for (let i = 0; i < 32; i++) {
    const path = `/${word(next)}/${Math.floor(next() * 1e6)}`;
    const line = `${at.toISOString()} ${host} ${word(next)}: GET ${path} ${next() < 0.97 ? 200 : 500} ${Math.floor(next() * 90_000)}`;
    lines += `${line.padEnd(LOG_LINE - 1).slice(0, LOG_LINE - 1)}\n`;
  }
  return Buffer.from(lines, 'latin1');
}

/** A page of the database: number, version, rows. */
export function databasePage(page: number, version: number, next: () => number): Buffer {
  const bytes = Buffer.alloc(DB_PAGE, '.');
  bytes.write('PAGE', 0, 'latin1');
  bytes.writeUInt32LE(page, 4);
  bytes.writeUInt32LE(version, 8);
  for (let at = 64; at + 64 <= DB_PAGE; at += 64) {
    const row = `${Math.floor(next() * 1e9)}|${word(next)}|${word(next)}|${(next() * 1e4).toFixed(2)}|v${version}`;
    bytes.write(row, at, 'latin1');
  }
  return bytes;
}

function database(seed: string, length: number): Buffer {
  const next = seededNumbers(`${seed}/db`);
  const pages: Buffer[] = [];
  for (let page = 0; page * DB_PAGE < length; page++) pages.push(databasePage(page, 1, next));
  return Buffer.concat(pages);
}

/** A log file of a fixed size: `filled` bytes of lines, then blank lines to be written over. */
function log(host: string, seed: string, length: number, filled: number): Buffer {
  const next = seededNumbers(`${seed}/log`);
  const content = Buffer.alloc(length, `${' '.repeat(LOG_LINE - 1)}\n`);
  for (let at = 0, n = 0; at < filled; n++) {
    at += logBlock(host, new Date(Date.UTC(2026, 0, 1) + n * 60_000), next).copy(content, at);
  }
  return content;
}

function prose(seed: string, length: number): Buffer {
  const next = seededNumbers(seed);
  const parts: string[] = [];
  for (let chars = 0; chars < length; ) {
    const part = `${word(next)}${next() < 0.1 ? '.\n' : ' '}`;
    parts.push(part);
    chars += part.length;
  }
  return Buffer.from(parts.join(''), 'latin1').subarray(0, length);
}

/** Documents of the packages that are installed here, up to `budget` bytes. */
function documents(folder: string, budget: number): ImageFile[] {
  const files: ImageFile[] = [];
  let left = budget;
  for (const name of readdirSync(NODE_MODULES).sort()) {
    const file = join(NODE_MODULES, name, 'README.md');
    const size = statSync(file, { throwIfNoEntry: false })?.size ?? 0;
    if (size === 0 || size > left) continue;
    files.push({ path: `${folder}/${name}/README.md`, content: readFileSync(file) });
    left -= size;
  }
  return files;
}

const word = (next: () => number): string => WORDS[Math.floor(next() * WORDS.length)] as string;
const text = (path: string, content: string): ImageFile => ({ path, content: Buffer.from(content) });
const numbered = <T>(count: number, make: (n: number) => T): T[] =>
  Array.from({ length: count }, (_, n) => make(n));
