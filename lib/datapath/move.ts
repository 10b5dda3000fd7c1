import { HoldfastError, MiB, type MoveResult, type MoveSpec } from '../model/index.ts';
import { type ChainData, createOnce, decodeChainKeys, decoding, MapObjects } from '../repository/index.ts';
import type { JobIo } from './jobIo.ts';
import type { LanePlaces, LaneReport } from './lanes.ts';
import { type MoveState, readMoveState, writeMoveState } from './moveCheckpoint.ts';
import { openPlan, type PlanAt, writtenTwice } from './planFile.ts';
import { runLanes } from './runLanes.ts';
import { ShardPages } from './shardPages.ts';
import { stripsOf } from './shardReads.ts';

/** A checkpoint is saved after about so many bytes, ... */
const CHECKPOINT_BYTES = 256 * MiB;
/** ... or, in a large shard, after this share of it. */
const CHECKPOINT_SHARE = 1 / 16;
/** Packs of an attempt that goes on under an earlier one's name are numbered from here on, times the attempts in between. */
const ATTEMPT_PACKS = 100_000;
/** Memory for reads ahead, and packs in upload, of all lanes together. */
const READ_AHEAD = 32 * MiB;
const UPLOADS = 4;

/**
 * Moves one shard: its blocks are read, left out where they are zeros or what the parent holds already, compressed, sealed,
 * packed, and stored while reading goes on; at last the map object. Whatever happens, nothing refers to what was stored until
 * a point is committed. A next attempt goes on from the last checkpoint, under the name of the attempt that began; without
 * one it begins anew under its own. `alreadyExists` (retryable) when another run of the same attempt got in between.
 */
export async function runMove(spec: MoveSpec, io: JobIo): Promise<MoveResult> {
  const { source, data, staging, signal } = io;
  if (!source) throw invalid(spec, 'it needs the content of its snapshot');
  if (source.sizeBytes !== spec.sizeBytes)
    throw invalid(spec, `the snapshot has ${source.sizeBytes} bytes instead of ${spec.sizeBytes}`);
  const keys = decodeChainKeys(io.chainKey);
  const at = { staging, keys, chain: spec.chain.id, signal };
  const plan = await openPlan(at, spec.plan);
  if (
    plan.sizeBytes !== spec.sizeBytes ||
    plan.blockBytes !== spec.chain.blockBytes ||
    spec.shard >= plan.shards
  ) {
    throw invalid(spec, 'its plan is for something else');
  }
  const { sizeBytes, blockBytes, pageBlocks } = plan;
  const chain: ChainData = { id: spec.chain.id, keys, blockBytes, pageBlocks, data };
  const planned = await plan.shard(spec.shard);
  const state = await readMoveState(at, io.checkpoint, io.attempt);
  const id = { sequence: spec.sequence, disk: spec.disk, shard: spec.shard, attempt: state.attempt };
  const pages = new ShardPages(chain, id, plan.whole);
  if (state.bytes) decoding(spec.plan, 'its checkpoint', () => pages.resume(state.bytes ?? Buffer.alloc(0)));
  const checkpoints = new Checkpoints(spec, io, at, state, pages);
  checkpoints.every = Math.max(
    CHECKPOINT_BYTES,
    planned.reduce((blocks, { read }) => blocks + read.size, 0) * blockBytes * CHECKPOINT_SHARE,
  );
  const progress = () =>
    io.progress({ doneBytes: pages.readBytes, readBytes: pages.readBytes, storedBytes: pages.packBytes });
  const places: LanePlaces = { chain: chain.id, blockBytes, keys, data, staging, source };
  await runLanes(io, places, {
    setup: (lane, lanes) => ({
      kind: 'move',
      id,
      compare: spec.compare,
      sizeBytes,
      blockBytes,
      pageBlocks,
      firstPack: (io.attempt - state.attempt) * ATTEMPT_PACKS + lane,
      packStep: lanes,
      readAhead: READ_AHEAD / lanes,
      uploads: Math.max(1, Math.floor(UPLOADS / lanes)),
    }),
    work: stripsOf(planned, plan, { pages, maps: new MapObjects(chain), chain: chain.id, signal }),
    report: (report: LaneReport) => {
      if (report.kind === 'strip') pages.take(report);
      else if (report.kind === 'pack') pages.stored(report);
      progress();
      return checkpoints.save();
    },
  });
  await checkpoints.saved;
  const map = pages.finish();
  if ((await createOnce(data, map.name, map.bytes, signal)) === 'taken') {
    // Whoever wrote it may go on under this name: the next attempt begins under its own.
    if (state.bytes) await io.saveCheckpoint({ abandoned: state.attempt });
    throw writtenTwice(map.name);
  }
  progress();
  return {
    kind: 'move',
    map: map.name,
    mapTag: map.tag,
    readBytes: pages.readBytes,
    storedBytes: pages.packBytes + map.bytes.length,
    packs: pages.packs,
    ...pages.counts,
  };
}

/** Saves what is stored, now and then, one at a time and beside the work. */
class Checkpoints {
  every = CHECKPOINT_BYTES;
  saved: Promise<void> = Promise.resolve();
  readonly #spec: MoveSpec;
  readonly #io: JobIo;
  readonly #at: PlanAt;
  readonly #state: MoveState;
  readonly #pages: ShardPages;
  #last: number;
  #number = 0;
  #saving = false;

  constructor(spec: MoveSpec, io: JobIo, at: PlanAt, state: MoveState, pages: ShardPages) {
    this.#spec = spec;
    this.#io = io;
    this.#at = at;
    this.#state = state;
    this.#pages = pages;
    this.#last = pages.readBytes;
  }

  save(): Promise<void> | undefined {
    if (this.#saving || this.#pages.readBytes - this.#last < this.every) return undefined;
    this.#saving = true;
    this.#last = this.#pages.readBytes;
    this.saved = this.#save().finally(() => {
      this.#saving = false;
    });
    return this.saved;
  }

  async #save(): Promise<void> {
    const { sequence, disk, shard } = this.#spec;
    const by = { sequence, disk, shard, attempt: this.#io.attempt };
    const state = { attempt: this.#state.attempt, bytes: this.#pages.encode() };
    await this.#io.saveCheckpoint(await writeMoveState(this.#at, by, this.#number++, state));
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
