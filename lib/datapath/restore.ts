import { z } from 'zod';
import { HoldfastError, MiB, type RestoreResult, type RestoreSpec } from '../model/index.ts';
import {
  BlockReader,
  type ChainData,
  type DiskBlock,
  decodeChainKeys,
  pagesOf,
  readPageTable,
} from '../repository/index.ts';
import type { JobIo } from './jobIo.ts';
import { UnderWay } from './underWay.ts';

/** A checkpoint is saved after about so many bytes. */
const CHECKPOINT_BYTES = 256 * MiB;
/** One write to the disk. */
const MAX_WRITE = 4 * MiB;
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
  const chain: ChainData = {
    id: spec.chain.id,
    keys,
    blockBytes: map.blockBytes,
    pageBlocks: map.pageBlocks,
    data,
  };
  const reader = new BlockReader(chain);
  const writes = new UnderWay(WRITES_AT_ONCE);
  const saved = checkpointSchema.safeParse(io.checkpoint);
  const start = saved.success ? saved.data : { page: spec.pageFrom, writtenBytes: 0, blocks: 0 };
  let { writtenBytes, blocks } = start;
  let savedAt = writtenBytes;
  let page = start.page;
  try {
    for await (const run of reader.read(map, start.page, spec.pageTo, signal)) {
      const pageOfRun = Math.floor((run[0]?.block ?? 0) / map.pageBlocks);
      // Runs come in the order of pages: what precedes this page is complete once its writes are.
      if (pageOfRun > page && writtenBytes - savedAt >= CHECKPOINT_BYTES) {
        await writes.done();
        page = pageOfRun;
        savedAt = writtenBytes;
        await io.saveCheckpoint({ page, writtenBytes, blocks });
      }
      for (const piece of pieces(run, map.blockBytes, map.sizeBytes)) {
        await writes.add(sink.write(piece.offset, piece.bytes, signal));
        writtenBytes += piece.bytes.length;
      }
      blocks += run.length;
      io.progress({ doneBytes: writtenBytes, readBytes: 0, storedBytes: 0 });
    }
    await writes.done();
  } finally {
    await writes.settle();
  }
  return { kind: 'restore', writtenBytes, blocks };
}

/** Neighbouring blocks as one piece of at most 4 MiB; the disk's last block is cut at its end. */
function* pieces(
  run: readonly DiskBlock[],
  blockBytes: number,
  sizeBytes: number,
): Iterable<{ offset: number; bytes: Buffer }> {
  const inOrder = run.toSorted((a, b) => a.block - b.block);
  for (let i = 0; i < inOrder.length; ) {
    const first = inOrder[i]?.block ?? 0;
    let count = 1;
    while (inOrder[i + count]?.block === first + count && (count + 1) * blockBytes <= MAX_WRITE) count++;
    const parts = inOrder.slice(i, i + count).map(({ bytes }) => bytes);
    const joined = parts.length === 1 && parts[0] ? parts[0] : Buffer.concat(parts);
    const offset = first * blockBytes;
    yield { offset, bytes: joined.subarray(0, Math.min(joined.length, sizeBytes - offset)) };
    i += count;
  }
}

const invalid = (spec: RestoreSpec, what: string): HoldfastError =>
  new HoldfastError('invalidInput', `Disk ${spec.disk} of ${spec.chain.id} cannot be restored: ${what}.`, {
    target: spec.targetDiskId,
  });
