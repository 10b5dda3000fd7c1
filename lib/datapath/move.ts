import { HoldfastError, type MoveResult, type MoveSpec } from '../model/index.ts';
import { type ChainData, createOnce, decodeChainKeys, MapObjects } from '../repository/index.ts';
import type { JobIo } from './jobIo.ts';
import { PackUploads } from './packUploads.ts';
import { openPlan, writtenTwice } from './planFile.ts';
import { readShard } from './shardReads.ts';
import { ShardWriter } from './shardWriter.ts';

/**
 * Moves one shard: reads its blocks, leaves out zeros and what the parent holds already, compresses, seals and packs the
 * rest, stores packs while reading on, and at last the map object. Whatever happens, nothing refers to what was stored until
 * a point is committed. An attempt begins at the beginning: its objects carry its number. `alreadyExists` (retryable) when
 * another run of the same attempt got in between.
 */
export async function runMove(spec: MoveSpec, io: JobIo): Promise<MoveResult> {
  const { source, data, staging, signal } = io;
  if (!source) throw invalid(spec, 'it needs the content of its snapshot');
  if (source.sizeBytes !== spec.sizeBytes)
    throw invalid(spec, `the snapshot has ${source.sizeBytes} bytes instead of ${spec.sizeBytes}`);
  const keys = decodeChainKeys(io.chainKey);
  const plan = await openPlan({ staging, keys, chain: spec.chain.id, signal }, spec.plan);
  if (
    plan.sizeBytes !== spec.sizeBytes ||
    plan.blockBytes !== spec.chain.blockBytes ||
    spec.shard >= plan.shards
  ) {
    throw invalid(spec, 'its plan is for something else');
  }
  const chain: ChainData = {
    id: spec.chain.id,
    keys,
    blockBytes: plan.blockBytes,
    pageBlocks: plan.pageBlocks,
    data,
  };
  const pages = await plan.shard(spec.shard);
  const uploads = new PackUploads(data, signal);
  const id = { sequence: spec.sequence, disk: spec.disk, shard: spec.shard, attempt: io.attempt };
  const writer = new ShardWriter(chain, id, { whole: plan.whole, compare: spec.compare, uploads });
  let readBytes = 0;
  const report = () => io.progress({ doneBytes: readBytes, readBytes, storedBytes: uploads.storedBytes });
  try {
    for await (const read of readShard(pages, plan, {
      source,
      maps: new MapObjects(chain),
      chain: chain.id,
      signal,
    })) {
      if (read.kind === 'page') writer.begin(read.planned, read.parent);
      else {
        await writer.blocks(read.first, read.bytes);
        readBytes += read.read;
        report();
      }
    }
    const map = await writer.finish();
    signal.throwIfAborted();
    if ((await createOnce(data, map.name, map.bytes, signal)) === 'taken') throw writtenTwice(map.name);
    const { packs, storedBytes } = uploads;
    const result = {
      map: map.name,
      mapTag: map.tag,
      readBytes,
      storedBytes: storedBytes + map.bytes.length,
      packs,
    };
    report();
    return { kind: 'move', ...result, ...writer.counts };
  } finally {
    // An upload must not go on behind the back of whoever runs the next attempt.
    await uploads.settle();
  }
}

const invalid = (spec: MoveSpec, what: string): HoldfastError =>
  new HoldfastError(
    'invalidInput',
    `Shard ${spec.shard} of disk ${spec.disk} of ${spec.chain.id}/${spec.sequence} cannot be moved: ${what}.`,
    {
      target: `disk ${spec.disk}, shard ${spec.shard}`,
    },
  );
