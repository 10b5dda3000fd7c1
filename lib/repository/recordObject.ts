import type { BlobStore } from './blobStore.ts';
import { ByteReader, ByteWriter } from './byteCodec.ts';
import { corruptObject, decoding, missingObject } from './damage.ts';
import type { SealingKey } from './keys.ts';
import { type Binding, HEADER_BYTES, INDEX_RECORD, ObjectSeal, TAG_BYTES } from './sealedObject.ts';

/**
 * An object of many records: header, sealed records, sealed index, trailer. The index holds the length of each record and
 * whatever the kind adds; the trailer says how long the index is, so that a reader begins at the end.
 */
const TRAILER_BYTES = 12;
const TRAILER_MAGIC = Buffer.from('HFSE', 'latin1');
const TAIL_GUESS = 64 * 1024;

export interface SealedObject {
  readonly bytes: Buffer;
  /** The tag of the index, hex: names exactly this object. */
  readonly tag: string;
}

export class RecordWriter {
  readonly #seal: ObjectSeal;
  readonly #name: string;
  readonly #lengths: number[] = [];
  #buffer: Buffer;
  #length = HEADER_BYTES;

  /** `space`: memory to build the object in, as long as it suffices; the object's bytes are then a view of it. */
  constructor(key: SealingKey, binding: Binding, space: Buffer = Buffer.allocUnsafe(64 * 1024)) {
    this.#seal = ObjectSeal.fresh(key, binding);
    this.#name = binding.name;
    this.#buffer = space;
    this.#seal.header.copy(this.#buffer);
  }

  /** Bytes so far, without index and trailer. */
  get length(): number {
    return this.#length;
  }

  get records(): number {
    return this.#lengths.length;
  }

  #reserve(bytes: number): void {
    if (this.#length + bytes <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.#buffer.length * 2, this.#length + bytes));
    this.#buffer.copy(larger, 0, 0, this.#length);
    this.#buffer = larger;
  }

  /** Returns the record's number. */
  append(plain: Uint8Array): number {
    this.#reserve(plain.length + TAG_BYTES);
    const record = this.#lengths.push(plain.length) - 1;
    this.#length = this.#seal.sealInto(this.#buffer, this.#length, record, plain);
    return record;
  }

  /** Opens a record again from the bytes that will be stored: for decode-and-compare. */
  reopen(record: number): Buffer {
    let offset = HEADER_BYTES;
    // The record asked for is nearly always the last one.
    if (record === this.records - 1) offset = this.#length - (this.#lengths[record] ?? 0) - TAG_BYTES;
    else for (let i = 0; i < record; i++) offset += (this.#lengths[i] ?? 0) + TAG_BYTES;
    const end = offset + (this.#lengths[record] ?? 0) + TAG_BYTES;
    return this.#seal.open(record, this.#buffer.subarray(offset, end));
  }

  /** Adds index and trailer. `payload` is what the kind has to say beyond the lengths. */
  finish(payload: Uint8Array): SealedObject {
    const index = encodeIndex(this.#lengths, payload);
    this.#reserve(index.length + TAG_BYTES + TRAILER_BYTES);
    const start = this.#length;
    this.#length = this.#seal.sealInto(this.#buffer, start, INDEX_RECORD, index);
    // Without its index nothing of the object can be read: it is opened once before it is trusted.
    if (!this.#seal.open(INDEX_RECORD, this.#buffer.subarray(start, this.#length)).equals(index)) {
      throw corruptObject(this.#name, 'its index does not open to what was sealed; nothing was stored');
    }
    const tag = this.#buffer.subarray(this.#length - TAG_BYTES, this.#length).toString('hex');
    this.#length = this.#buffer.writeUInt32LE(index.length, this.#length);
    this.#length = this.#buffer.writeUInt32LE(this.#lengths.length, this.#length);
    this.#length += TRAILER_MAGIC.copy(this.#buffer, this.#length);
    return { bytes: this.#buffer.subarray(0, this.#length), tag };
  }
}

const encodeIndex = (lengths: readonly number[], payload: Uint8Array): Buffer => {
  const writer = new ByteWriter(lengths.length * 4 + payload.length + 16).varint(lengths.length);
  for (const length of lengths) writer.varint(length);
  return writer.bytes(payload).done();
};

/** An open object of many records. Keeps its index in memory; fetches records by range, unless it holds all bytes. */
export class RecordReader {
  readonly name: string;
  readonly size: number;
  readonly tag: string;
  /** What the kind wrote beside the lengths. */
  readonly payload: Buffer;
  readonly #store: BlobStore;
  readonly #seal: ObjectSeal;
  readonly #lengths: Float64Array;
  readonly #offsets: Float64Array;
  readonly #bytes: Buffer | null;

  private constructor(
    store: BlobStore,
    binding: Binding,
    size: number,
    seal: ObjectSeal,
    index: Buffer,
    tag: string,
    bytes: Buffer | null,
  ) {
    this.name = binding.name;
    this.size = size;
    this.tag = tag;
    this.#store = store;
    this.#seal = seal;
    this.#bytes = bytes;
    const reader = new ByteReader(index);
    const records = reader.varint();
    if (records > size) throw new RangeError('counts more records than it has bytes');
    this.#lengths = new Float64Array(records);
    this.#offsets = new Float64Array(records);
    let offset = HEADER_BYTES;
    for (let i = 0; i < records; i++) {
      const length = reader.varint();
      this.#lengths[i] = length;
      this.#offsets[i] = offset;
      offset += length + TAG_BYTES;
    }
    this.payload = reader.rest();
    if (offset + index.length + TAG_BYTES + TRAILER_BYTES !== size)
      throw new RangeError('does not add up to its length');
  }

  get records(): number {
    return this.#lengths.length;
  }

  /**
   * Opens `binding.name`: its size, its tail, its header. An object of at most `wholeBelow` bytes is read whole and kept, in `space` if it
   * fits there.
   * Throws `missingObject` or `corruptObject`, with the name as target.
   */
  static async open(
    store: BlobStore,
    key: SealingKey,
    binding: Binding,
    options: { wholeBelow?: number; signal?: AbortSignal | undefined; space?: Buffer } = {},
  ): Promise<RecordReader> {
    const { name } = binding;
    const call = { signal: options.signal };
    const size = (await store.stat(name, call))?.size;
    if (size === undefined) throw missingObject(name, store.name);
    if (size < HEADER_BYTES + TAG_BYTES + TRAILER_BYTES) throw corruptObject(name, 'it is too short');
    const read = async (offset: number, length: number): Promise<Buffer> => {
      const { bytes } = await store.read(name, { offset, length }, { ...call, into: options.space });
      if (bytes.length !== length) throw corruptObject(name, 'it ends too early');
      return bytes;
    };
    const whole = size <= Math.max(options.wholeBelow ?? 0, TAIL_GUESS);
    let tail = await read(whole ? 0 : size - TAIL_GUESS, whole ? size : TAIL_GUESS);
    const trailer = tail.subarray(tail.length - TRAILER_BYTES);
    if (!trailer.subarray(8).equals(TRAILER_MAGIC)) throw corruptObject(name, 'it does not end as it should');
    const indexBytes = trailer.readUInt32LE(0) + TAG_BYTES;
    if (HEADER_BYTES + indexBytes + TRAILER_BYTES > size)
      throw corruptObject(name, 'its index does not fit into it');
    if (indexBytes + TRAILER_BYTES > tail.length)
      tail = await read(size - indexBytes - TRAILER_BYTES, indexBytes + TRAILER_BYTES);
    const header = whole ? tail.subarray(0, HEADER_BYTES) : await read(0, HEADER_BYTES);
    const seal = ObjectSeal.of(key, binding, header);
    const sealed = tail.subarray(tail.length - TRAILER_BYTES - indexBytes, tail.length - TRAILER_BYTES);
    const index = seal.open(INDEX_RECORD, sealed);
    const tag = sealed.subarray(sealed.length - TAG_BYTES).toString('hex');
    const reader = decoding(
      name,
      'its index',
      () => new RecordReader(store, binding, size, seal, index, tag, whole ? tail : null),
    );
    if (reader.records !== trailer.readUInt32LE(4))
      throw corruptObject(name, 'its end and its index disagree');
    return reader;
  }

  /** Plain length of each record. */
  lengths(): Uint32Array {
    return Uint32Array.from(this.#lengths);
  }

  /** Bytes from the start of the object, tag included. */
  extent(record: number): { offset: number; length: number } {
    const offset = this.#offsets[record];
    const length = this.#lengths[record];
    if (offset === undefined || length === undefined)
      throw corruptObject(this.name, `it has no record ${record}`);
    return { offset, length: length + TAG_BYTES };
  }

  async record(record: number, signal?: AbortSignal): Promise<Buffer> {
    const { offset, length } = this.extent(record);
    if (this.#bytes) return this.#seal.open(record, this.#bytes.subarray(offset, offset + length));
    const { bytes } = await this.#store.read(this.name, { offset, length }, { signal });
    return this.#seal.open(record, bytes);
  }

  /** Fetches records [first, last] with one read; the answer opens any of them, and throws what is wrong with that one. */
  async range(first: number, last: number, signal?: AbortSignal): Promise<(record: number) => Buffer> {
    const { offset: start } = this.extent(first);
    const end = this.extent(last);
    const length = end.offset + end.length - start;
    const bytes = this.#bytes
      ? this.#bytes.subarray(start, start + length)
      : (await this.#store.read(this.name, { offset: start, length }, { signal })).bytes;
    return (record) => {
      const { offset, length: sealed } = this.extent(record);
      return this.#seal.open(record, bytes.subarray(offset - start, offset - start + sealed));
    };
  }
}
