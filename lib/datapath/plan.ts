import { z } from 'zod';
import {
  HoldfastError,
  isHoldfastError,
  type PlanResult,
  type PlanSpec,
  type ReadReason,
} from '../model/index.ts';
import {
  type BlockMap,
  decodeChainKeys,
  MapObjects,
  type MapShape,
  PAGE_BLOCKS,
  pageRefs,
  pagesOf,
  planMapRewrite,
  readPageTable,
} from '../repository/index.ts';
import { readBytesOf } from './changedBlocks.ts';
import type { JobIo } from './jobIo.ts';
import { listWindow, type Window, windowsOf } from './listWindows.ts';
import { type PlanAt, PlanWriter, readWindow, writeWindow } from './planFile.ts';
import { type PlannedPage, rewritten } from './plannedPages.ts';
import type { DiskSource, PageLists } from './ports.ts';
import { SampleMismatch, Sampler } from './sampling.ts';

/** However small `shardBytes` is, a disk has no more shards, so that its manifest stays small. */
const MAX_SHARDS = 1024;
const MAX_SHARD_PAGES = 8192;

/** What a next attempt goes on from: the windows that are listed and saved, and by which attempt. */
const checkpointSchema = z.object({
  whole: z.boolean(),
  reason: z.string(),
  sampledBytes: z.number(),
  allocatedBytes: z.number(),
  /** Windows from `from` on were saved by `attempt`. */
  saved: z.array(z.object({ from: z.number(), attempt: z.number() })),
  next: z.number(),
});

/** A disk's plan in the making. */
interface Listing {
  whole: boolean;
  reason: ReadReason;
  sampledBytes: number;
  allocatedBytes: number;
  saved: { from: number; attempt: number }[];
  next: number;
}

interface PlanWork {
  readonly spec: PlanSpec;
  readonly io: JobIo;
  readonly at: PlanAt;
  readonly shape: MapShape;
  readonly parent: BlockMap | null;
  readonly lists: PageLists;
  readonly source: DiskSource;
  readonly windows: readonly Window[];
  /** Pages of the parent that are written anew though they did not change, so that sparse map objects can go. */
  readonly rewrite: ReadonlySet<number>;
  /** The windows of this attempt, where there are too few to be worth saving. */
  readonly kept: Map<number, PlannedPage[]>;
}

/**
 * Plans one disk: lists what is allocated, or what changed since the base, window by window; checks a few blocks that are
 * called unchanged; cuts the pages into shards; writes the plan into staging. Falls back to a whole read when the service
 * refuses the difference (`diffFailed:<code>`), when a sampled block is not what the parent holds (`sampleMismatch`), or
 * when the disk is smaller than the parent's (`reset`).
 */
export async function runPlan(spec: PlanSpec, io: JobIo): Promise<PlanResult> {
  const work = await prepare(spec, io);
  let listing = resume(work);
  try {
    await listAll(work, listing);
  } catch (error) {
    const reason = fallback(error);
    if (listing.whole || !reason) throw error;
    work.kept.clear();
    listing = { ...listing, whole: true, reason, saved: [], next: 0, allocatedBytes: 0 };
    await listAll(work, listing);
  }
  return assemble(work, listing);
}

async function prepare(spec: PlanSpec, io: JobIo): Promise<PlanWork> {
  const { lists, source, staging, signal } = io;
  if (!lists || !source) throw invalid(spec, 'a plan needs the page lists and the content of its snapshot');
  if (source.sizeBytes !== spec.sizeBytes) {
    throw invalid(spec, `the snapshot has ${source.sizeBytes} bytes, the plan is for ${spec.sizeBytes}`);
  }
  const keys = decodeChainKeys(io.chainKey);
  const at = { staging, keys, chain: spec.chain.id, signal };
  const parent = spec.parentTable === null ? null : await readPageTable({ ...at, name: spec.parentTable });
  if (spec.baseSnapshotId !== null && !parent)
    throw invalid(spec, 'changes can only be read on top of a parent');
  if ((spec.baseSnapshotId === null) === (spec.readReason === 'changedBlocks')) {
    throw invalid(
      spec,
      `the read reason ${spec.readReason} does not fit ${spec.baseSnapshotId === null ? 'a read without' : 'one with'} a base`,
    );
  }
  const shape = { sizeBytes: spec.sizeBytes, blockBytes: spec.chain.blockBytes, pageBlocks: PAGE_BLOCKS };
  if (parent && parent.blockBytes !== shape.blockBytes)
    throw invalid(spec, 'the parent has blocks of another size');
  const maps = new MapObjects(chainOf(spec, io, at));
  // A whole read writes all pages anew as it is.
  const rewrite =
    parent && spec.baseSnapshotId !== null
      ? await planMapRewrite({ parent, maps, sequence: spec.sequence, signal })
      : new Set<number>();
  return { spec, io, at, shape, parent, lists, source, windows: windowsOf(shape), rewrite, kept: new Map() };
}

const chainOf = ({ chain }: PlanSpec, { data }: JobIo, { keys }: PlanAt) => ({
  id: chain.id,
  keys,
  blockBytes: chain.blockBytes,
  pageBlocks: PAGE_BLOCKS,
  data,
});

function resume({ spec, io, parent }: PlanWork): Listing {
  const saved = checkpointSchema.safeParse(io.checkpoint);
  if (saved.success) return { ...saved.data, reason: saved.data.reason as ReadReason };
  const smaller = parent !== null && parent.sizeBytes > spec.sizeBytes;
  const reset = spec.baseSnapshotId !== null && smaller;
  return {
    whole: spec.baseSnapshotId === null || reset,
    reason: reset ? 'reset' : spec.readReason,
    sampledBytes: 0,
    allocatedBytes: 0,
    saved: [],
    next: 0,
  };
}

async function listAll(work: PlanWork, listing: Listing): Promise<void> {
  const { parent, windows, io } = work;
  const sampledBefore = listing.sampledBytes;
  const from = windows[listing.next]?.from ?? 0;
  const sampler = listing.whole || !parent ? null : await startSampling(work, parent, from);
  if (windows.length > 1) listing.saved.push({ from: listing.next, attempt: io.attempt });
  for (const window of windows.slice(listing.next)) {
    io.signal.throwIfAborted();
    try {
      await listOne(work, listing, window, sampler);
    } finally {
      listing.sampledBytes = sampledBefore + (sampler?.bytes ?? 0);
    }
    listing.next = window.index + 1;
    if (windows.length > 1) await io.saveCheckpoint({ ...listing });
  }
}

async function listOne(
  work: PlanWork,
  listing: Listing,
  window: Window,
  sampler: Sampler | null,
): Promise<void> {
  const { io, at, shape, parent, lists, windows, spec, kept } = work;
  const listed = await listWindow(lists, window, shape, parent, listing.whole, io.signal);
  const { allocatedBytes } = listed;
  const pages = listing.whole ? listed.pages : await withRewritten(work, window, listed.pages);
  if (sampler && parent) {
    const byPage = new Map(pages.map((page) => [page.page, page]));
    const isChanged = (block: number) => {
      const page = byPage.get(Math.floor(block / shape.pageBlocks));
      const place = block % shape.pageBlocks;
      return !!page && (page.read.has(place) || page.clear.has(place));
    };
    await sampler.check(window.from, windowEnd(window, parent), isChanged);
  }
  listing.allocatedBytes += allocatedBytes;
  if (windows.length === 1) kept.set(window.index, pages);
  else {
    const { sequence, disk } = spec;
    await writeWindow(
      at,
      { sequence, disk, attempt: io.attempt, whole: listing.whole, index: window.index },
      pages,
    );
  }
}

/** Adds the pages of the window that are to be written anew and are not touched anyway. */
async function withRewritten(
  { parent, rewrite, shape, io }: PlanWork,
  window: Window,
  pages: PlannedPage[],
): Promise<PlannedPage[]> {
  if (!parent || rewrite.size === 0) return pages;
  const touched = new Set(pages.map(({ page }) => page));
  const all = [...pages];
  for await (const { page, ref } of pageRefs(parent, window.from, windowEnd(window, parent), io.signal)) {
    if (rewrite.has(page) && !touched.has(page)) all.push(rewritten(page, ref, shape.pageBlocks));
  }
  return all.sort((a, b) => a.page - b.page);
}

const windowEnd = ({ to }: Window, parent: BlockMap): number => Math.min(to, pagesOf(parent));

function startSampling({ io, at, source, spec }: PlanWork, parent: BlockMap, from: number): Promise<Sampler> {
  const maps = new MapObjects(chainOf(spec, io, at));
  const random = io.random ?? Math.random;
  const input = { parent, maps, keys: at.keys, source, random, signal: io.signal };
  return Sampler.startingAt(input, from);
}

/** The reason for a whole read that a failure of the incremental one gives; null for failures that are something else. */
function fallback(error: unknown): ReadReason | null {
  if (error instanceof SampleMismatch) return 'sampleMismatch';
  if (isHoldfastError(error, 'diffFailed')) return `diffFailed:${error.target ?? 'unknown'}`;
  return null;
}

async function assemble(work: PlanWork, listing: Listing): Promise<PlanResult> {
  const { spec, io, at, shape } = work;
  let plannedBytes = 0;
  for await (const pages of listedPages(work, listing))
    for (const page of pages) plannedBytes += readBytesOf(page, shape);
  const shardBytes = Math.max(spec.shardBytes, Math.ceil(plannedBytes / MAX_SHARDS));
  const writer = new PlanWriter(at, { sequence: spec.sequence, disk: spec.disk, attempt: io.attempt });
  const shards: PlanResult['shards'] = [];
  let pages: PlannedPage[] = [];
  let readBytes = 0;
  const close = () => {
    if (pages.length === 0) return;
    shards.push({ shard: writer.addShard(pages), pages: pages.length, readBytes });
    pages = [];
    readBytes = 0;
  };
  for await (const listed of listedPages(work, listing)) {
    for (const page of listed) {
      pages.push(page);
      readBytes += readBytesOf(page, shape);
      if (readBytes >= shardBytes || pages.length >= MAX_SHARD_PAGES) close();
    }
  }
  close();
  await writer.create(listing.whole, shape);
  return {
    kind: 'plan',
    plan: writer.name,
    shards,
    plannedBytes,
    allocatedBytes: listing.whole ? listing.allocatedBytes : null,
    sampledBytes: listing.sampledBytes,
    readReason: listing.reason,
  };
}

async function* listedPages(
  { windows, kept, at, spec, shape }: PlanWork,
  { saved, whole }: Listing,
): AsyncIterable<PlannedPage[]> {
  for (const { index } of windows) {
    const attempt = saved.findLast(({ from }) => from <= index)?.attempt;
    if (attempt === undefined) yield kept.get(index) ?? [];
    else
      yield await readWindow(
        at,
        { sequence: spec.sequence, disk: spec.disk, attempt, whole, index },
        shape.pageBlocks,
      );
  }
}

const invalid = (spec: PlanSpec, what: string): HoldfastError =>
  new HoldfastError(
    'invalidInput',
    `The plan of disk ${spec.disk} of ${spec.chain.id}/${spec.sequence} cannot be made: ${what}.`,
    {
      target: `disk ${spec.disk}`,
    },
  );
