import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createSecretKey,
  hkdfSync,
  randomBytes,
  timingSafeEqual,
} from 'node:crypto';
import { corruptObject } from './damage.ts';
import type { SealingKey } from './keys.ts';
import { notKept } from './youngGarbage.ts';

/** Kinds of sealed objects: one byte of the header. Numbers are never reused. */
export const KIND = {
  claim: 1,
  manifest: 2,
  state: 3,
  chain: 4,
  tree: 5,
  map: 6,
  pack: 7,
  pageTable: 8,
  plan: 9,
  planWindow: 10,
  lease: 11,
  verified: 12,
} as const;
export type ObjectKind = (typeof KIND)[keyof typeof KIND];

export const FORMAT_VERSION = 1;
export const HEADER_BYTES = 40;
export const TAG_BYTES = 16;
/** The record number of an object's index. */
export const INDEX_RECORD = 0xffff_ffff;

const MAGIC = Buffer.from('HFST', 'latin1');
const SEAL_CHECKSUM = 0;
const SEAL_AES_256_GCM = 1;

/** What a sealed object is bound to, besides its key. */
export interface Binding {
  readonly kind: ObjectKind;
  /** Id of the chain. */
  readonly chain: string;
  /** Name within its container. */
  readonly name: string;
}

/**
 * Seals and opens the records of one object. Each object has 32 random bytes of its own, from which its key derives, so a
 * record number can be its nonce: no key and nonce ever meet twice, as long as each record is sealed once.
 */
export class ObjectSeal {
  readonly header: Buffer;
  readonly #name: string;
  readonly #key: SealingKey;
  readonly #associated: Buffer;
  readonly #nonce = Buffer.alloc(12);

  private constructor(key: SealingKey, binding: Binding, header: Buffer) {
    this.header = header;
    this.#name = binding.name;
    const suffix = Buffer.from(`${binding.chain}\0${binding.name}`, 'utf8');
    this.#associated = Buffer.concat([header, Buffer.alloc(4), suffix]);
    this.#key =
      key &&
      createSecretKey(
        Buffer.from(
          hkdfSync(
            'sha256',
            key,
            header.subarray(8),
            Buffer.concat([Buffer.from([binding.kind]), suffix]),
            32,
          ),
        ),
      );
  }

  /** For a new object: draws its random bytes. */
  static fresh(key: SealingKey, binding: Binding): ObjectSeal {
    const fixed = Buffer.from([
      ...MAGIC,
      FORMAT_VERSION,
      key ? SEAL_AES_256_GCM : SEAL_CHECKSUM,
      binding.kind,
      0,
    ]);
    return new ObjectSeal(key, binding, Buffer.concat([fixed, randomBytes(32)]));
  }

  /** For an object that exists: `header` is its first 40 bytes. */
  static of(key: SealingKey, binding: Binding, header: Buffer): ObjectSeal {
    const bad = (what: string) => corruptObject(binding.name, what);
    if (header.length < HEADER_BYTES) throw bad('it is shorter than its header');
    if (!header.subarray(0, 4).equals(MAGIC)) throw bad('it does not begin as an object of a repository');
    if (header[4] !== FORMAT_VERSION)
      throw bad(`its format version is ${header[4]}, this program reads ${FORMAT_VERSION}`);
    if (header[5] !== (key ? SEAL_AES_256_GCM : SEAL_CHECKSUM))
      throw bad("it is not sealed in the repository's mode");
    if (header[6] !== binding.kind || header[7] !== 0) throw bad('it is of another kind');
    return new ObjectSeal(key, binding, Buffer.from(header.subarray(0, HEADER_BYTES)));
  }

  #bind(record: number): void {
    this.#associated.writeUInt32LE(record, HEADER_BYTES);
    this.#nonce.writeUInt32LE(record, 0);
  }

  /** Writes the sealed record (as long as `plain`, then 16 bytes of tag) into `target` at `offset`; returns its end. */
  sealInto(target: Buffer, offset: number, record: number, plain: Uint8Array): number {
    this.#bind(record);
    const end = offset + plain.length;
    if (this.#key) {
      const cipher = createCipheriv('aes-256-gcm', this.#key, this.#nonce);
      cipher.setAAD(this.#associated);
      target.set(cipher.update(plain), offset);
      cipher.final();
      notKept(plain.length);
      target.set(cipher.getAuthTag(), end);
    } else {
      target.set(plain, offset);
      target.set(this.#checksum(plain), end);
    }
    return end + TAG_BYTES;
  }

  seal(record: number, plain: Uint8Array): Buffer {
    const sealed = Buffer.allocUnsafe(plain.length + TAG_BYTES);
    this.sealInto(sealed, 0, record, plain);
    return sealed;
  }

  /** The plain bytes of a sealed record (ciphertext and tag), or `corruptObject`. In mode `none` a view of `sealed`. */
  open(record: number, sealed: Buffer): Buffer {
    const length = sealed.length - TAG_BYTES;
    if (length < 0) throw corruptObject(this.#name, 'it ends too early');
    this.#bind(record);
    const tag = sealed.subarray(length);
    const body = sealed.subarray(0, length);
    if (!this.#key) {
      if (timingSafeEqual(this.#checksum(body), tag)) return body;
      throw corruptObject(this.#name, `the checksum of ${recordWords(record)} does not match`);
    }
    const decipher = createDecipheriv('aes-256-gcm', this.#key, this.#nonce, { authTagLength: TAG_BYTES });
    decipher.setAAD(this.#associated);
    decipher.setAuthTag(tag);
    const plain = decipher.update(body);
    notKept(length);
    try {
      decipher.final();
    } catch (error) {
      throw corruptObject(this.#name, `${recordWords(record)} is not authentic`, error);
    }
    return plain;
  }

  #checksum(body: Uint8Array): Buffer {
    return createHash('sha256').update(this.#associated).update(body).digest().subarray(0, TAG_BYTES);
  }
}

const recordWords = (record: number): string =>
  record === INDEX_RECORD ? 'its index' : `its record ${record}`;

/** An object of one record: header, sealed bytes. Returns it with its tag (hex), which names exactly this object. */
export function sealWhole(
  key: SealingKey,
  binding: Binding,
  plain: Uint8Array,
): { bytes: Buffer; tag: string } {
  const seal = ObjectSeal.fresh(key, binding);
  const bytes = Buffer.concat([seal.header, seal.seal(0, plain)]);
  return { bytes, tag: tagOf(bytes) };
}

export function openWhole(key: SealingKey, binding: Binding, bytes: Buffer): Buffer {
  return ObjectSeal.of(key, binding, bytes).open(0, bytes.subarray(HEADER_BYTES));
}

/** The tag of an object of one record. */
export const tagOf = (bytes: Buffer): string => bytes.subarray(bytes.length - TAG_BYTES).toString('hex');
