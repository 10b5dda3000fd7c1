import { DB_PAGE, databasePage, logBlock } from './content.ts';
import type { FileStretch } from './ext4Reader.ts';
import { seededNumbers } from './randomBytes.ts';

/**
 * What keeps changing the demo disks: lines appended to logs, pages of a database rewritten. The space was allocated when the
 * images were made, and only the contents of existing blocks change, so the file system stays valid however often and
 * whenever a snapshot is taken.
 */
export interface WorkloadFile {
  readonly kind: 'log' | 'database';
  /** The disk, by whatever name `write` knows it. */
  readonly disk: string;
  readonly host: string;
  readonly path: string;
  readonly sizeBytes: number;
  readonly stretches: readonly FileStretch[];
}

/** Where the workload stands; kept between runs, so that a log goes on where it ended. */
export interface WorkloadState {
  turn: number;
  /** By `disk:path`: where the next lines go. */
  positions: Record<string, number>;
}

export type GuestWrite = (disk: string, offset: number, bytes: Buffer) => Promise<void>;

const LOG_BLOCKS = 2;
const DB_PAGES = 3;
const BLANK = 0x20;

/** One turn: every file is written to a little. Resolves with the number of bytes written. */
export async function runWorkload(
  files: readonly WorkloadFile[],
  state: WorkloadState,
  now: Date,
  write: GuestWrite,
): Promise<number> {
  state.turn++;
  let written = 0;
  for (const file of files) {
    const next = seededNumbers(`${file.disk}:${file.path}:${state.turn}`);
    for (const { offset, bytes } of changes(file, state, now, next)) {
      for (const part of placed(file, offset, bytes)) {
        await write(file.disk, part.offset, part.bytes);
        written += part.bytes.length;
      }
    }
  }
  return written;
}

/** What to write, by position in the file. */
function changes(
  file: WorkloadFile,
  state: WorkloadState,
  now: Date,
  next: () => number,
): { offset: number; bytes: Buffer }[] {
  if (file.kind === 'database') {
    const pages = Math.floor(file.sizeBytes / DB_PAGE);
    return Array.from({ length: DB_PAGES }, () => {
      const page = Math.floor(next() * pages);
      return { offset: page * DB_PAGE, bytes: databasePage(page, state.turn + 1, next) };
    });
  }
  const name = `${file.disk}:${file.path}`;
  const lines = Buffer.concat(Array.from({ length: LOG_BLOCKS }, () => logBlock(file.host, now, next)));
  const kept = state.positions[name] ?? 0;
  // A full log begins again at its start, as a ring.
  const offset = kept + lines.length > file.sizeBytes ? 0 : kept;
  state.positions[name] = offset + lines.length;
  return [{ offset, bytes: lines }];
}

/** The parts of a write to a file, by position on its disk. Positions and lengths are multiples of 4 KiB throughout. */
function placed(file: WorkloadFile, offset: number, bytes: Buffer): { offset: number; bytes: Buffer }[] {
  const end = offset + bytes.length;
  const parts = file.stretches.flatMap((stretch) => {
    const from = Math.max(offset, stretch.fileOffset);
    const to = Math.min(end, stretch.fileOffset + stretch.length);
    if (from >= to) return [];
    return [
      {
        offset: stretch.diskOffset + from - stretch.fileOffset,
        bytes: bytes.subarray(from - offset, to - offset),
      },
    ];
  });
  const covered = parts.reduce((sum, part) => sum + part.bytes.length, 0);
  if (covered !== bytes.length) throw new Error(`${file.path} has no room allocated at ${offset}.`);
  return parts;
}

/** Where the blank part of a log begins: its first line of spaces. `lineBytes` divides the length. */
export function blankFrom(content: Buffer, lineBytes: number): number {
  for (let at = 0; at < content.length; at += lineBytes) if (content[at] === BLANK) return at;
  return content.length;
}
