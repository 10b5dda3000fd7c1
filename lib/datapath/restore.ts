import { z } from 'zod';
import { HoldfastError, MiB, type RestoreResult, type RestoreSpec } from '../model/index.ts';
import { type BlockMap, decodeChainKeys, pageRefs, pagesOf, readPageTable } from '../repository/index.ts';
import { restoreWhatIsThere } from './damagedRestore.ts';
import type { JobIo } from './jobIo.ts';
import type { PageRestored } from './lanes.ts';
import { runLanes } from './runLanes.ts';

/** A checkpoint is saved after about so many bytes. */
const CHECKPOINT_BYTES = 256 * MiB;
/** Plain bytes that are read ahead, and writes under way, of all lanes together. */
const READ_AHEAD = 24 * MiB;
const WRITES_AT_ONCE = 8;

const checkpointSchema = z.object({ page: z.number(), writtenBytes: z.number(), blocks: z.number() });

/**
 * Writes the blocks of pages [pageFrom, pageTo) of a restore point's disk to a fresh disk: decrypted, expanded, and their
 * digests checked. What is absent is never written, for the disk reads as zeros there. A next attempt goes on from the last
 * checkpoint; writing a block again does no harm.
 */
export async function runRestore(spec: RestoreSpec, io: JobIo): Promise<RestoreResult> {
  const { sink, data, staging, signal } = io;
  if (!sink) throw invalid(spec, 'it needs a disk to write to');
  if (sink.sizeBytes < spec.sizeBytes)
    throw invalid(spec, `the target has ${sink.sizeBytes} bytes, the disk ${spec.sizeBytes}`);
  const keys = decodeChainKeys(io.chainKey);
  const map = await readPageTable({ staging, name: spec.table, chain: spec.chain.id, keys, signal });
  if (
    map.sizeBytes !== spec.sizeBytes ||
    map.blockBytes !== spec.chain.blockBytes ||
    spec.pageTo > pagesOf(map)
  ) {
    throw invalid(spec, 'its page table is for something else');
  }
  if (spec.allowDamaged) return restoreWhatIsThere(spec, io, map, sink);
  const saved = checkpointSchema.safeParse(io.checkpoint);
  const start = saved.success ? saved.data : { page: spec.pageFrom, writtenBytes: 0, blocks: 0 };
  const done = new DonePages(start);
  let writtenBytes = start.writtenBytes;
  let savedAt = writtenBytes;
  let saving: Promise<void> = Promise.resolve();
  const places = { chain: spec.chain.id, blockBytes: map.blockBytes, keys, data, staging, sink };
  await runLanes(io, places, {
    setup: (_, lanes) => ({
      kind: 'restore',
      table: spec.table,
      readAhead: READ_AHEAD / lanes,
      writes: Math.max(2, Math.floor(WRITES_AT_ONCE / lanes)),
    }),
    work: pagesWithBlocks(map, start.page, spec.pageTo, done, signal),
    report: (report) => {
      if (report.kind === 'written') {
        writtenBytes += report.bytes;
        io.progress({ doneBytes: writtenBytes, readBytes: 0, storedBytes: 0 });
      }
      if (report.kind !== 'restored') return;
      const next = done.add(report);
      if (next.writtenBytes - savedAt < CHECKPOINT_BYTES) return;
      savedAt = next.writtenBytes;
      // One after the other: the last that is saved is the furthest.
      saving = saving.then(() => io.saveCheckpoint(next));
      return saving;
    },
  });
  return { kind: 'restore', writtenBytes: done.all.writtenBytes, blocks: done.all.blocks };
}

interface Checkpoint {
  readonly page: number;
  readonly writtenBytes: number;
  readonly blocks: number;
}

/** Pages are done in any order; a checkpoint says up to where all are. */
class DonePages {
  /** Everything that is done. */
  all: { writtenBytes: number; blocks: number };
  #next: Checkpoint;
  readonly #ahead: PageRestored[] = [];
  readonly #order: number[] = [];

  constructor(start: Checkpoint) {
    this.#next = start;
    this.all = { writtenBytes: start.writtenBytes, blocks: start.blocks };
  }

  /** Pages that were handed out, in order. */
  expect(page: number): void {
    this.#order.push(page);
  }

  add(report: PageRestored): Checkpoint {
    this.all = {
      writtenBytes: this.all.writtenBytes + report.writtenBytes,
      blocks: this.all.blocks + report.blocks,
    };
    this.#ahead.push(report);
    for (;;) {
      const at = this.#ahead.findIndex(({ page }) => page === this.#order[0]);
      const found = this.#ahead[at];
      if (!found) return this.#next;
      this.#ahead.splice(at, 1);
      this.#order.shift();
      const { writtenBytes, blocks } = this.#next;
      this.#next = {
        page: found.page + 1,
        writtenBytes: writtenBytes + found.writtenBytes,
        blocks: blocks + found.blocks,
      };
    }
  }
}

async function* pagesWithBlocks(
  map: BlockMap,
  from: number,
  to: number,
  done: DonePages,
  signal: AbortSignal,
): AsyncGenerator<number> {
  for await (const { page } of pageRefs(map, from, to, signal)) {
    done.expect(page);
    yield page;
  }
}

const invalid = (spec: RestoreSpec, what: string): HoldfastError =>
  new HoldfastError('invalidInput', `Disk ${spec.disk} of ${spec.chain.id} cannot be restored: ${what}.`, {
    target: spec.targetDiskId,
  });
