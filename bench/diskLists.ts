import { closeSync, openSync, readSync, statSync } from 'node:fs';

/** `[offset, length]`, ascending. */
export type Ranges = [offset: number, length: number][];

/** What the platform's lists would say of the two versions of a disk. */
export interface DiskLists {
  readonly sizeBytes: number;
  readonly allocated: { readonly first: Ranges; readonly next: Ranges };
  readonly changed: Ranges;
  readonly cleared: Ranges;
}

const CHUNK = 4 * 1024 * 1024;
const ALLOCATION = 64 * 1024;
const DIFFERENCE = 4096;

/** Reads both images: what is not zero counts as allocated (in steps of 64 KiB), differences in steps of 4 KiB. */
export function listsOf(first: string, next: string): DiskLists {
  const sizeBytes = statSync(first).size;
  const files = [openSync(first, 'r'), openSync(next, 'r')] as const;
  const [one, other] = [Buffer.alloc(CHUNK), Buffer.alloc(CHUNK)] as const;
  const zero = Buffer.alloc(ALLOCATION);
  const lists = { first: [] as Ranges, next: [] as Ranges, changed: [] as Ranges, cleared: [] as Ranges };
  for (let at = 0; at < sizeBytes; at += CHUNK) {
    const length = readSync(files[0], one, 0, CHUNK, at);
    readSync(files[1], other, 0, CHUNK, at);
    const scan = (step: number, add: (from: number, to: number) => void) => {
      for (let from = 0; from < length; from += step) add(from, Math.min(from + step, length));
    };
    const isZero = (bytes: Buffer, from: number, to: number) =>
      bytes.subarray(from, to).equals(zero.subarray(0, to - from));
    scan(ALLOCATION, (from, to) => {
      if (!isZero(one, from, to)) add(lists.first, at + from, to - from);
      if (!isZero(other, from, to)) add(lists.next, at + from, to - from);
    });
    scan(DIFFERENCE, (from, to) => {
      if (one.subarray(from, to).equals(other.subarray(from, to))) return;
      add(isZero(other, from, to) ? lists.cleared : lists.changed, at + from, to - from);
    });
  }
  for (const file of files) closeSync(file);
  const { first: firstRanges, next: nextRanges, changed, cleared } = lists;
  return { sizeBytes, allocated: { first: firstRanges, next: nextRanges }, changed, cleared };
}

function add(ranges: Ranges, offset: number, length: number): void {
  const last = ranges.at(-1);
  if (last && last[0] + last[1] === offset) last[1] += length;
  else ranges.push([offset, length]);
}

export const bytesOf = (ranges: Ranges): number => ranges.reduce((sum, [, length]) => sum + length, 0);
