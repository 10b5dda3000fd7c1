import { HoldfastError } from '../model/index.ts';
import {
  type BlobStore,
  ByteReader,
  ByteWriter,
  type ChainKeys,
  createOnce,
  decoding,
  KIND,
  type MapShape,
  openWhole,
  planName,
  planWindowName,
  RecordReader,
  RecordWriter,
  sealWhole,
} from '../repository/index.ts';
import { decodePlannedPages, encodePlannedPages, type PlannedPage } from './plannedPages.ts';

/** Where plans are kept. */
export interface PlanAt {
  readonly staging: BlobStore;
  readonly keys: ChainKeys;
  readonly chain: string;
  readonly signal: AbortSignal;
}

/** A plan, open: what all shards share. `whole`: pages start empty, and the parent's only help to recognise equal blocks. */
export interface OpenPlan extends MapShape {
  readonly whole: boolean;
  readonly shards: number;
  shard(index: number): Promise<PlannedPage[]>;
}

/** Another run of the same attempt wrote this name: what refers to it must not be ours. The next attempt has a name of its own. */
export const writtenTwice = (name: string): HoldfastError =>
  new HoldfastError(
    'alreadyExists',
    `The object ${name} exists with other content: another run of this attempt wrote it. The next attempt starts under names of its own.`,
    {
      target: name,
      retryable: true,
    },
  );

/** Builds the plan of one disk: a record a shard. */
export class PlanWriter {
  readonly name: string;
  readonly #at: PlanAt;
  readonly #records: RecordWriter;

  constructor(at: PlanAt, id: { sequence: number; disk: number; attempt: number }) {
    this.#at = at;
    this.name = planName(at.chain, id.sequence, id.disk, id.attempt);
    this.#records = new RecordWriter(at.keys.seal, { kind: KIND.plan, chain: at.chain, name: this.name });
  }

  addShard(pages: readonly PlannedPage[]): number {
    return this.#records.append(encodePlannedPages(pages));
  }

  async create(whole: boolean, shape: MapShape): Promise<void> {
    const payload = new ByteWriter(32)
      .u8(whole ? 1 : 0)
      .varint(shape.sizeBytes)
      .varint(shape.blockBytes)
      .varint(shape.pageBlocks);
    const { bytes } = this.#records.finish(payload.done());
    if ((await createOnce(this.#at.staging, this.name, bytes, this.#at.signal)) === 'taken')
      throw writtenTwice(this.name);
  }
}

export async function openPlan({ staging, keys, chain, signal }: PlanAt, name: string): Promise<OpenPlan> {
  const reader = await RecordReader.open(staging, keys.seal, { kind: KIND.plan, chain, name }, { signal });
  const head = decoding(name, 'its index', () => {
    const bytes = new ByteReader(reader.payload);
    const read = {
      whole: bytes.u8() === 1,
      sizeBytes: bytes.varint(),
      blockBytes: bytes.varint(),
      pageBlocks: bytes.varint(),
    };
    bytes.end();
    return read;
  });
  return {
    ...head,
    shards: reader.records,
    async shard(index) {
      const bytes = await reader.record(index, signal);
      return decoding(name, `shard ${index}`, () => decodePlannedPages(bytes, head.pageBlocks));
    },
  };
}

/** Names one listed window of a plan in the making. */
export interface WindowId {
  readonly sequence: number;
  readonly disk: number;
  readonly attempt: number;
  readonly whole: boolean;
  readonly index: number;
}

const windowBinding = ({ chain }: PlanAt, id: WindowId) => ({
  kind: KIND.planWindow,
  chain,
  name: planWindowName(chain, id.sequence, id.disk, id.attempt, id),
});

/** Keeps what was listed of one window, for the rest of this attempt and for the next. */
export async function writeWindow(at: PlanAt, id: WindowId, pages: readonly PlannedPage[]): Promise<void> {
  const binding = windowBinding(at, id);
  const { bytes } = sealWhole(at.keys.seal, binding, encodePlannedPages(pages));
  if ((await createOnce(at.staging, binding.name, bytes, at.signal)) === 'taken')
    throw writtenTwice(binding.name);
}

export async function readWindow(at: PlanAt, id: WindowId, pageBlocks: number): Promise<PlannedPage[]> {
  const binding = windowBinding(at, id);
  const { bytes } = await at.staging.read(binding.name, undefined, { signal: at.signal });
  const plain = openWhole(at.keys.seal, binding, bytes);
  return decoding(binding.name, 'the window', () => decodePlannedPages(plain, pageBlocks));
}
