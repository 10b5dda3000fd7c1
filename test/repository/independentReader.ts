/**
 * A second reader of the format, written from docs/format.md alone: it imports nothing of the program, does things one by
 * one, and believes nothing. If it and the program disagree, one of them or the page is wrong.
 */
import { createDecipheriv, createHash, createHmac, hkdfSync, scryptSync } from 'node:crypto';
import { zstdDecompressSync } from 'node:zlib';

export interface Containers {
  /** Bytes of an object. */
  readonly meta: (name: string) => Buffer;
  readonly data: (name: string) => Buffer;
}

interface Keys {
  readonly document: Buffer | null;
  readonly meta: Buffer | null;
  readonly chain: Buffer | null;
  readonly digest: Buffer | null;
}

interface Slot {
  id: string;
  kind: string;
  scrypt: { N: number; r: number; p: number; salt: string };
  nonce: string;
  wrapped: string;
}

interface TreeRef {
  sequence: number;
  disk: number;
  attempt: number;
  length: number;
  tag: string;
}

interface Manifest {
  state: string;
  disks: { number: number; sizeBytes: number; tree: TreeRef }[];
}

type Ref = { object: number[]; record: number; present: number } | null;

const must: (condition: boolean, what: string) => asserts condition = (condition, what) => {
  if (!condition) throw new Error(what);
};
const digits = (value: number, width: number) => String(value).padStart(width, '0');
const at = <T>(list: ArrayLike<T>, index: number): T => {
  must(index >= 0 && index < list.length, 'out of range');
  return list[index] as T;
};

/** Cursor over plain bytes. */
class Bytes {
  #at = 0;
  readonly #bytes: Buffer;
  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }
  varint(): number {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = BigInt(at(this.#bytes, this.#at++));
      value |= (byte & 127n) << shift;
      if (byte < 128n) return Number(value);
    }
  }
  signed(): number {
    const value = this.varint();
    return value % 2 ? -(value + 1) / 2 : value / 2;
  }
  take(length: number): Buffer {
    must(this.#at + length <= this.#bytes.length, 'ends early');
    return this.#bytes.subarray(this.#at, (this.#at += length));
  }
  rest(): Buffer {
    return this.take(this.#bytes.length - this.#at);
  }
  end(): void {
    must(this.#at === this.#bytes.length, 'has more bytes');
  }
}

const deltas = (bytes: Bytes, count: number): number[] => {
  let value = 0;
  return Array.from({ length: count }, () => (value += bytes.signed()));
};
const bits = (set: Buffer, count: number): number[] =>
  Array.from({ length: count }, (_, i) => i).filter((i) => at(set, i >> 3) & (1 << (i & 7)));

function document(name: string, bytes: Buffer): { json: unknown; check(key: Buffer | null): void } {
  const [line = '', sum, mac, rest] = bytes.toString('utf8').split('\n');
  must(sum === createHash('sha256').update(line).digest('hex') && rest === '', `${name}: damaged`);
  return {
    json: JSON.parse(line),
    check: (key) =>
      must(
        mac === (key ? createHmac('sha256', key).update(`${name}\0${line}`).digest('hex') : '-'),
        `${name}: forged`,
      ),
  };
}

function unlock(repository: string, slots: Slot[], password: string): Buffer {
  for (const { id, scrypt, nonce, wrapped } of slots) {
    const { N, r, p } = scrypt;
    const key = scryptSync(password.normalize('NFC'), Buffer.from(scrypt.salt, 'base64'), 32, {
      N,
      r,
      p,
      maxmem: 2 ** 30,
    });
    const sealed = Buffer.from(wrapped, 'base64');
    const cipher = createDecipheriv('aes-256-gcm', key, Buffer.from(nonce, 'base64'));
    cipher.setAAD(Buffer.from(`holdfast/1/slot\0${repository}\0${id}`));
    cipher.setAuthTag(sealed.subarray(32));
    const master = cipher.update(sealed.subarray(0, 32));
    try {
      cipher.final();
      return master;
    } catch {
      // another slot, perhaps
    }
  }
  throw new Error('wrong password');
}

/** Opens records of one object. */
function opener(bytes: Buffer, key: Buffer | null, kind: number, chain: string, name: string) {
  must(bytes.subarray(0, 4).toString('latin1') === 'HFST', `${name}: magic`);
  must(
    bytes[4] === 1 && bytes[5] === (key ? 1 : 0) && bytes[6] === kind && bytes[7] === 0,
    `${name}: header`,
  );
  const suffix = Buffer.from(`${chain}\0${name}`);
  const objectKey =
    key &&
    Buffer.from(
      hkdfSync('sha256', key, bytes.subarray(8, 40), Buffer.concat([Buffer.from([kind]), suffix]), 32),
    );
  return (record: number, sealed: Buffer): Buffer => {
    const number = Buffer.alloc(4);
    number.writeUInt32LE(record);
    const associated = Buffer.concat([bytes.subarray(0, 40), number, suffix]);
    const plain = sealed.subarray(0, sealed.length - 16);
    const tag = sealed.subarray(sealed.length - 16);
    if (!objectKey) {
      must(
        createHash('sha256').update(associated).update(plain).digest().subarray(0, 16).equals(tag),
        `${name}: checksum`,
      );
      return plain;
    }
    const cipher = createDecipheriv('aes-256-gcm', objectKey, Buffer.concat([number, Buffer.alloc(8)]));
    cipher.setAAD(associated);
    cipher.setAuthTag(tag);
    return Buffer.concat([cipher.update(plain), cipher.final()]);
  };
}

/** An object of many records. */
function records(bytes: Buffer, key: Buffer | null, kind: number, chain: string, name: string) {
  const open = opener(bytes, key, kind, chain, name);
  must(bytes.subarray(-4).toString('latin1') === 'HFSE', `${name}: end`);
  const indexAt = bytes.length - 12 - 16 - bytes.readUInt32LE(bytes.length - 12);
  const sealedIndex = bytes.subarray(indexAt, bytes.length - 12);
  const index = new Bytes(open(0xffffffff, sealedIndex));
  const lengths = Array.from({ length: index.varint() }, () => index.varint());
  must(lengths.length === bytes.readUInt32LE(bytes.length - 8), `${name}: count`);
  let offset = 40;
  const extents = lengths.map((length) => ({ from: offset, to: (offset += length + 16) }));
  must(offset === indexAt, `${name}: size`);
  return {
    count: lengths.length,
    lengths,
    payload: index.rest(),
    tag: sealedIndex.subarray(-16).toString('hex'),
    record: (i: number) => open(i, bytes.subarray(at(extents, i).from, at(extents, i).to)),
  };
}

function references(record: Buffer, count: number): Ref[] {
  const bytes = new Bytes(zstdDecompressSync(record));
  const objects = bytes.varint();
  const fields = [0, 1, 2, 3].map(() => deltas(bytes, objects));
  const places = bits(bytes.take(Math.ceil(count / 8)), count);
  const index = deltas(bytes, places.length);
  const next: number[] = [];
  const numbers = index.map((i) => {
    const record = (next[i] ?? 0) + bytes.signed();
    next[i] = record + 1;
    return record;
  });
  const present = deltas(bytes, places.length);
  bytes.end();
  const refs: Ref[] = Array.from({ length: count }, () => null);
  places.forEach((place, i) => {
    const object = fields.map((field) => at(field, at(index, i)));
    refs[place] = { object, record: at(numbers, i), present: at(present, i) };
  });
  return refs;
}

function page(record: Buffer): { block: number; pack: number[]; ordinal: number }[] {
  const bytes = new Bytes(zstdDecompressSync(record));
  const packs = bytes.varint();
  const fields = [0, 1, 2, 3, 4].map(() => deltas(bytes, packs));
  const present = bits(bytes.take(32), 256);
  const index = deltas(bytes, present.length);
  const next: number[] = [];
  const blocks = present.map((block, i) => {
    const which = at(index, i);
    const ordinal = (next[which] ?? 0) + bytes.signed();
    next[which] = ordinal + 1;
    return { block, pack: fields.map((field) => at(field, which)), ordinal };
  });
  bytes.end();
  return blocks;
}

/** The disks of a restore point, by number, as whole buffers. `password` null: an unencrypted repository. */
export function readPoint(
  containers: Containers,
  password: string | null,
  chain: string,
  sequence: number,
): Map<number, Buffer> {
  const { meta, data } = containers;
  const head = document('repository', meta('repository'));
  const descriptor = head.json as { format: number; id: string; mode: string; slots: Slot[] };
  must(
    descriptor.format === 1 && descriptor.mode === (password === null ? 'none' : 'encrypted'),
    'repository: format or mode',
  );
  const master = password === null ? null : unlock(descriptor.id, descriptor.slots, password);
  const derive = (purpose: string) =>
    master && Buffer.from(hkdfSync('sha256', master, descriptor.id, `holdfast/1/${purpose}`, 32));
  const keys: Keys = {
    document: derive('document'),
    meta: derive('meta'),
    chain: derive(`chain/${chain}`),
    digest: derive('digest'),
  };
  head.check(keys.document);
  const chainName = `chains/${chain}/chain`;
  const chainDocument = document(chainName, meta(chainName));
  chainDocument.check(keys.document);
  const { blockBytes } = chainDocument.json as { blockBytes: number };

  const manifestName = `chains/${chain}/points/${digits(sequence, 8)}.manifest`;
  const sealed = meta(manifestName);
  const manifest = JSON.parse(
    opener(sealed, keys.meta, 2, chain, manifestName)(0, sealed.subarray(40)).toString(),
  ) as Manifest;
  must(manifest.state === 'point', 'no restore point');

  const opened = new Map<string, ReturnType<typeof records>>();
  const object = (store: (name: string) => Buffer, key: Buffer | null, kind: number, name: string) => {
    const known = opened.get(name) ?? records(store(name), key, kind, chain, name);
    opened.set(name, known);
    return known;
  };
  const tree = ([seq = 0, disk = 0, , attempt = 0]: number[]) =>
    object(
      meta,
      keys.meta,
      5,
      `chains/${chain}/maps/${digits(seq, 8)}.${digits(disk, 4)}-${digits(attempt, 3)}.tree`,
    );
  const map = ([seq = 0, disk = 0, shard = 0, attempt = 0]: number[]) =>
    object(
      data,
      keys.chain,
      6,
      `chains/${chain}/maps/${digits(seq, 8)}.${digits(disk, 4)}.${digits(shard, 6)}-${digits(attempt, 3)}.map`,
    );
  const pack = ([seq = 0, disk = 0, shard = 0, attempt = 0, number = 0]: number[]) =>
    object(
      data,
      keys.chain,
      7,
      `chains/${chain}/packs/${digits(seq, 8)}-${digits(disk, 4)}-${digits(shard, 6)}-${digits(attempt, 3)}-${digits(number, 6)}.pack`,
    );

  /** The pack's index as the map object has it: codecs and digests. */
  const packIndex = (id: number[]) => {
    const directory = new Bytes(map(id).payload);
    let record = 0;
    for (let left = directory.varint(); left > 0; left--) {
      directory.varint();
      if (directory.varint() > 0) record++;
    }
    for (let left = directory.varint(); left > 0; left--, record++) {
      const number = directory.varint();
      directory.varint();
      if (number !== id[4]) continue;
      const bytes = new Bytes(map(id).record(record));
      const lengths = Array.from({ length: bytes.varint() }, () => bytes.varint());
      must(bytes.take(1)[0] === 1, 'digest algorithm');
      return { lengths, codecs: bytes.take(lengths.length), digests: bytes.take(lengths.length * 24) };
    }
    throw new Error('the map object lacks a pack');
  };

  const block = (id: number[], ordinal: number): Buffer => {
    const { lengths, codecs, digests } = packIndex(id);
    must(lengths[ordinal] === pack(id).lengths[ordinal], 'index and pack disagree');
    const stored = pack(id).record(ordinal);
    const plain = at(codecs, ordinal) === 1 ? zstdDecompressSync(stored) : stored;
    const digest = (keys.digest ? createHmac('sha256', keys.digest) : createHash('sha256'))
      .update(plain)
      .digest();
    must(digest.subarray(0, 24).equals(digests.subarray(ordinal * 24, ordinal * 24 + 24)), 'digest');
    must(plain.length === blockBytes, 'block length');
    return plain;
  };

  const disks = new Map<number, Buffer>();
  for (const { number, sizeBytes, tree: ref } of manifest.disks) {
    const content = Buffer.alloc(sizeBytes);
    const nodes = Math.ceil(Math.ceil(Math.ceil(sizeBytes / blockBytes) / 256) / 256);
    const top = tree([ref.sequence, ref.disk, 0, ref.attempt]);
    must(top.tag === ref.tag, 'tree tag');
    references(top.record(top.count - 1), nodes).forEach((node, k) => {
      if (!node) return;
      references(tree(node.object).record(node.record), 256).forEach((pageRef, p) => {
        if (!pageRef) return;
        const blocks = page(map(pageRef.object).record(pageRef.record));
        must(blocks.length === pageRef.present, 'present blocks');
        for (const { block: i, pack: id, ordinal } of blocks) {
          block(id, ordinal).copy(content, ((k * 256 + p) * 256 + i) * blockBytes);
        }
      });
    });
    disks.set(number, content);
  }
  return disks;
}
