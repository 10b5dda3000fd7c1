import { type RestoreResult, type RestoreSpec } from '../model/index.ts';
import {
  type BlockMap,
  type ChainData,
  coarsen,
  type DiskBlock,
  decodeChainKeys,
  RunList,
  salvageBlocks,
} from '../repository/index.ts';
import type { JobIo } from './jobIo.ts';
import type { DiskSink } from './ports.ts';
import { UnderWay } from './underWay.ts';

const WRITES_AT_ONCE = 8;
/** So many ranges and objects fit into the row of a job. */
const MAX_RANGES = 400;
const MAX_OBJECTS = 50;

/**
 * Writes what can be read of pages [pageFrom, pageTo) to a fresh disk. What cannot be read stays zeros and is listed in the
 * result: it is never passed over in silence. In one thread and without checkpoints: another attempt begins anew, so that
 * the list is complete.
 */
export async function restoreWhatIsThere(
  spec: RestoreSpec,
  io: JobIo,
  map: BlockMap,
  sink: DiskSink,
): Promise<RestoreResult> {
  const { data, signal } = io;
  const { blockBytes, pageBlocks, sizeBytes } = map;
  const keys = decodeChainKeys(io.chainKey);
  const chain: ChainData = { id: spec.chain.id, keys, blockBytes, pageBlocks, data };
  const writes = new UnderWay(WRITES_AT_ONCE);
  const runs: [first: number, count: number][] = [];
  const objects = new Set<string>();
  let [writtenBytes, blocks, lostBlocks] = [0, 0, 0];
  try {
    for await (const found of salvageBlocks(chain, map, { from: spec.pageFrom, to: spec.pageTo }, signal)) {
      if (found.kind === 'lost') {
        runs.push([...found.run]);
        lostBlocks += found.blocks;
        if (found.object !== null && objects.size < MAX_OBJECTS) objects.add(found.object);
        continue;
      }
      for (const { offset, bytes } of found.blocks.map((block) => placed(block, blockBytes, sizeBytes))) {
        await writes.add(sink.write(offset, bytes, signal));
        writtenBytes += bytes.length;
      }
      blocks += found.blocks.length;
      io.progress({ doneBytes: writtenBytes, readBytes: 0, storedBytes: 0 });
    }
    await writes.done();
  } finally {
    await writes.settle();
  }
  const result = { kind: 'restore' as const, writtenBytes, blocks };
  if (runs.length === 0) return result;
  const lost = new RunList();
  for (const [first, count] of runs.sort((a, b) => a[0] - b[0])) lost.add(first, count);
  const ranges = coarsen(lost.runs, MAX_RANGES).map(([first, count]) => {
    const offset = first * blockBytes;
    return { offset, length: Math.min(count * blockBytes, sizeBytes - offset) };
  });
  return { ...result, damage: { blocks: lostBlocks, ranges, objects: [...objects] } };
}

/** The disk's last block is cut at its end. */
function placed({ block, bytes }: DiskBlock, blockBytes: number, sizeBytes: number) {
  const offset = block * blockBytes;
  return { offset, bytes: bytes.subarray(0, Math.min(bytes.length, sizeBytes - offset)) };
}
