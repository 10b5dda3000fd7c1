/** What metadata costs on disks too large to move here: `simulatedDisk.ts` says how they are simulated. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { FolderBlobStore } from '../lib/repository/index.ts';
import { PAGE_BLOCKS, REAL_BLOCK, type SimulatedDisk, simulateDisk, spread } from './simulatedDisk.ts';

export interface MetadataCost {
  readonly what: string;
  readonly value: string;
}

/** What `flatPoint.ts` measures, in a process of its own. */
export interface FlatPoint {
  readonly openMs: number;
  readonly compareMs: number;
  readonly pagesThatDiffer: number;
  readonly removeMs: number;
  /** Of that process, from its start. */
  readonly peakMiB: number;
}

export interface FlatChain {
  readonly points: number;
  readonly pages: number;
  /** Mean time of an incremental of `CHANGED_PAGES` blocks: plan, move, commit. */
  readonly incrementalMs: number;
  readonly incrementalBytesPerBlock: number;
  readonly point: FlatPoint;
}

const GiB = 1024 ** 3;
const TiB = 1024 ** 4;
const CHANGED_PAGES = 64;

async function mapBytes({ data }: SimulatedDisk): Promise<number> {
  let bytes = 0;
  for await (const { name, size } of data.list('')) if (name.endsWith('.map')) bytes += size;
  return bytes;
}

/** Bytes of map objects, pack indexes included, for each block that a full backup stores. */
async function bytesPerBlock(
  realBytes: number,
  allocated: (page: number) => readonly number[],
): Promise<{ blocks: number; bytes: number }> {
  const disk = await simulateDisk({ realBytes, allocated });
  const moves = await disk.backup(null);
  const blocks = moves.reduce((sum, { blocksStored }) => sum + blocksStored, 0);
  return { blocks, bytes: (await mapBytes(disk)) / blocks };
}

/**
 * A disk as a file system fills it: about three fifths of it in runs of 1 to 200 blocks (0.5 to 100 MiB). Pages are asked for in
 * order.
 */
export function filled(): (page: number) => readonly number[] {
  let seed = 1;
  const random = (below: number) => {
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((seed / 2 ** 32) * below);
  };
  const pages: number[][] = [];
  let at = 0;
  return (page) => {
    while (at < (page + 1) * PAGE_BLOCKS) {
      const run = 1 + random(200);
      for (let i = 0; i < run; i++) {
        const block = at + i;
        const blocks = (pages[Math.floor(block / PAGE_BLOCKS)] ??= []);
        blocks.push(block % PAGE_BLOCKS);
      }
      at += run + 1 + random(132);
    }
    return pages[page] ?? [];
  };
}

/**
 * A chain of `points` restore points of a simulated disk in a folder, of which a process of its own then opens the one in the
 * middle, compares it with its neighbour and removes it.
 */
export async function flatChain({
  realBytes,
  points,
}: {
  readonly realBytes: number;
  readonly points: number;
}): Promise<FlatChain> {
  const scratch = await mkdtemp(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'holdfast-flat-'));
  try {
    const folders = { meta: join(scratch, 'meta'), data: join(scratch, 'data') };
    const stores = { meta: new FolderBlobStore(folders.meta), data: new FolderBlobStore(folders.data) };
    const disk = await simulateDisk({ realBytes, allocated: spread(2), stores });
    await disk.backup(null);
    const fullBytes = await mapBytes(disk);
    const pages = realBytes / REAL_BLOCK / PAGE_BLOCKS;
    const start = performance.now();
    for (let point = 2; point <= points; point++) await disk.backup(changedIn(point, pages));
    const incrementalMs = (performance.now() - start) / (points - 1);
    const changed = (points - 1) * Math.min(CHANGED_PAGES, pages / 2);
    const incrementalBytesPerBlock = ((await mapBytes(disk)) - fullBytes) / changed;
    const middle = Math.max(1, Math.floor(points / 2));
    const program = new URL('flatPoint.ts', import.meta.url).pathname;
    const { stdout } = await promisify(execFile)(process.execPath, [
      program,
      folders.meta,
      folders.data,
      disk.chain.id,
      String(middle),
    ]);
    const point = JSON.parse(stdout) as FlatPoint;
    return { points, pages, incrementalMs, incrementalBytesPerBlock, point };
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** Pages of the second half, each time others: the samples of a plan look at blocks of the first. */
function changedIn(point: number, pages: number): number[] {
  const half = pages / 2;
  const count = Math.min(CHANGED_PAGES, half);
  const step = Math.floor(half / count);
  const changed = Array.from(
    { length: count },
    (_, i) => (half + ((point * 131 + i * step) % half)) * PAGE_BLOCKS,
  );
  return [...new Set(changed)].sort((a, b) => a - b);
}

/** Costs of metadata: of a full by how its blocks lie, and of one point in a chain of `points` of a disk of 4 TiB. */
export async function metadataCosts(points = 1000): Promise<MetadataCost[]> {
  const costs: MetadataCost[] = [];
  const add = (what: string, value: string) => costs.push({ what, value });
  for (const [name, realBytes, allocated] of [
    ['256 GiB, about three fifths full in runs', 256 * GiB, filled()],
    ['1 TiB, 16 blocks scattered over each page', TiB, spread(16)],
    ['4 TiB, 2 blocks in each page', 4 * TiB, spread(2)],
    ['32 TiB, 1 block in each page (the worst)', 32 * TiB, spread(1)],
  ] as const) {
    const { blocks, bytes } = await bytesPerBlock(realBytes, allocated);
    add(`full of ${name}, ${blocks} blocks: map objects with pack indexes`, `${bytes.toFixed(1)} B/block`);
  }
  const { pages, incrementalMs, incrementalBytesPerBlock, point } = await flatChain({
    realBytes: 4 * TiB,
    points,
  });
  const chain = `4 TiB in ${pages} pages, chain of ${points}`;
  add(
    `${chain}: map objects of an incremental of ${CHANGED_PAGES} blocks in as many pages`,
    `${incrementalBytesPerBlock.toFixed(0)} B/block`,
  );
  add(`${chain}: such an incremental, planned, moved and committed`, `${incrementalMs.toFixed(0)} ms`);
  add(`${chain}: open the repository and the middle point`, `${point.openMs.toFixed(0)} ms`);
  add(
    `${chain}: compare it with its neighbour (${point.pagesThatDiffer} pages differ)`,
    `${point.compareMs.toFixed(0)} ms`,
  );
  add(`${chain}: remove it`, `${point.removeMs.toFixed(0)} ms`);
  add('peak memory of the process that did these three', `${point.peakMiB.toFixed(0)} MiB`);
  return costs;
}
