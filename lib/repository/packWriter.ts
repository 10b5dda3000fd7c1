import { MiB } from '../model/index.ts';
import { CODEC_RAW, compressBlock, expandBlock } from './blockCodec.ts';
import { corruptObject } from './damage.ts';
import type { ChainKeys } from './keys.ts';
import { type PackId, packName } from './names.ts';
import { PackIndex, PackIndexBuilder } from './packIndex.ts';
import { RecordWriter, type SealedObject } from './recordObject.ts';
import { KIND, TAG_BYTES } from './sealedObject.ts';

/** A pack is closed when it holds so many bytes. */
export const PACK_BYTES = 16 * MiB;

export interface FinishedPack extends SealedObject {
  readonly id: PackId;
  readonly name: string;
  readonly index: PackIndex;
}

export interface PackOptions {
  /** Open and expand each block again from the bytes that will be stored, and compare it with its source. */
  readonly compare: boolean;
  /** Memory to build the pack in: `packSpace(blockBytes)` bytes. It is in use until the pack is stored. */
  readonly space: Buffer;
}

/** Memory for a pack that is closed at `PACK_BYTES`, with its last block and its index. */
export const packSpace = (blockBytes: number): Buffer =>
  Buffer.allocUnsafe(PACK_BYTES + blockBytes + TAG_BYTES + 256 * 1024);

/** What a block is expanded to for comparing, used again by the next. */
let compared = Buffer.alloc(0);

/** Builds one pack: blocks in disk order, each compressed and sealed on its own, then the index. */
export class PackWriter {
  readonly id: PackId;
  readonly name: string;
  readonly #records: RecordWriter;
  readonly #index = new PackIndexBuilder();
  readonly #compare: boolean;

  constructor(keys: ChainKeys, chain: string, id: PackId, { compare, space }: PackOptions) {
    this.id = id;
    this.name = packName(chain, id);
    this.#compare = compare;
    this.#records = new RecordWriter(keys.seal, { kind: KIND.pack, chain, name: this.name }, space);
  }

  /** Bytes so far. */
  get length(): number {
    return this.#records.length;
  }

  /** Adds a block; returns its ordinal. `digest` is the block's. */
  add(block: Buffer, digest: Buffer): number {
    const { codec, stored } = compressBlock(block);
    const ordinal = this.#records.append(stored);
    this.#index.add(stored.length, codec, digest);
    if (this.#compare) {
      const again = this.#records.reopen(ordinal);
      if (compared.length !== block.length) compared = Buffer.allocUnsafeSlow(block.length);
      const plain = codec === CODEC_RAW ? again : expandBlock(codec, again, block.length, compared);
      if (!plain.equals(block)) {
        throw corruptObject(this.name, `block ${ordinal} does not decode to its source; nothing was stored`);
      }
    }
    return ordinal;
  }

  finish(): FinishedPack {
    const index = this.#index.build();
    return { id: this.id, name: this.name, index, ...this.#records.finish(index.payload()) };
  }
}
