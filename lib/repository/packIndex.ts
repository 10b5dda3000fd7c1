import type { Codec } from './blockCodec.ts';
import { DIGEST_BYTES, DIGEST_HMAC_SHA256_192 } from './blockDigest.ts';
import { ByteReader, ByteWriter } from './byteCodec.ts';
import { HEADER_BYTES, TAG_BYTES } from './sealedObject.ts';

/** What is known of each block of a pack, by ordinal: where it lies, how it is packed, and its digest. */
export class PackIndex {
  /** Bytes of each block as stored, without the tag. */
  readonly lengths: Uint32Array;
  readonly offsets: Float64Array;
  readonly codecs: Uint8Array;
  readonly #digests: Buffer;

  constructor(lengths: Uint32Array, codecs: Uint8Array, digests: Buffer) {
    this.lengths = lengths;
    this.codecs = codecs;
    this.#digests = digests;
    this.offsets = new Float64Array(lengths.length);
    let offset = HEADER_BYTES;
    for (let i = 0; i < lengths.length; i++) {
      this.offsets[i] = offset;
      offset += (lengths[i] ?? 0) + TAG_BYTES;
    }
  }

  get blocks(): number {
    return this.lengths.length;
  }

  /** Where the sealed block lies in the pack, tag included; `RangeError` when there is no such ordinal. */
  extent(ordinal: number): { offset: number; length: number } {
    const offset = this.offsets[ordinal];
    const length = this.lengths[ordinal];
    if (offset === undefined || length === undefined) throw new RangeError(`holds no block ${ordinal}`);
    return { offset, length: length + TAG_BYTES };
  }

  digest(ordinal: number): Buffer {
    if (ordinal >= this.blocks) throw new RangeError(`holds no block ${ordinal}`);
    return this.#digests.subarray(ordinal * DIGEST_BYTES, (ordinal + 1) * DIGEST_BYTES);
  }

  /** The part of a pack's index beside the lengths: digest algorithm, codecs, digests. */
  payload(): Buffer {
    return Buffer.concat([Buffer.from([DIGEST_HMAC_SHA256_192]), this.codecs, this.#digests]);
  }

  static fromPayload(lengths: Uint32Array, payload: Buffer): PackIndex {
    const reader = new ByteReader(payload);
    const algorithm = reader.u8();
    if (algorithm !== DIGEST_HMAC_SHA256_192)
      throw new RangeError(`has digests of the unknown kind ${algorithm}`);
    const codecs = reader.bytes(lengths.length);
    const digests = reader.bytes(lengths.length * DIGEST_BYTES);
    reader.end();
    return new PackIndex(lengths, codecs, digests);
  }

  /** As a record of a map object: count, lengths, payload: the same bytes as the pack's own index. */
  encode(): Buffer {
    const payload = this.payload();
    const writer = new ByteWriter(payload.length + this.blocks * 4 + 16).varint(this.blocks);
    for (const length of this.lengths) writer.varint(length);
    return writer.bytes(payload).done();
  }

  static decode(bytes: Buffer): PackIndex {
    const reader = new ByteReader(bytes);
    const blocks = reader.varint();
    if (blocks > bytes.length) throw new RangeError('counts more blocks than it has bytes');
    const lengths = new Uint32Array(blocks);
    for (let i = 0; i < blocks; i++) lengths[i] = reader.varint();
    return PackIndex.fromPayload(lengths, reader.rest());
  }
}

/** Gathers the rows of a pack that is being written. */
export class PackIndexBuilder {
  readonly #lengths: number[] = [];
  readonly #codecs: Codec[] = [];
  readonly #digests: Buffer[] = [];

  add(length: number, codec: Codec, digest: Buffer): void {
    this.#lengths.push(length);
    this.#codecs.push(codec);
    this.#digests.push(digest);
  }

  build(): PackIndex {
    return new PackIndex(
      Uint32Array.from(this.#lengths),
      Uint8Array.from(this.#codecs),
      Buffer.concat(this.#digests),
    );
  }
}
