/**
 * A second reader of the format, written from docs/format.md alone: it imports nothing of the program, does one thing after
 * the other, and believes nothing. Where it and the program disagree, one of them or the page is wrong.
 */
import { createDecipheriv, createHash, createHmac, hkdfSync, scryptSync } from 'node:crypto';
import { zstdDecompressSync } from 'node:zlib';

/** The bytes of an object, by its name in its container; null when it is not there. */
export type Containers = Readonly<Record<'meta' | 'data', (name: string) => Buffer | null>>;

type Slot = { id: string; kind: string; scrypt: Scrypt; nonce: string; wrapped: string };
type Scrypt = { N: number; r: number; p: number; salt: string };
type TreeRef = { sequence: number; disk: number; attempt: number; length: number; tag: string };
type MapRef = { shard: number; attempt: number; length: number; tag: string };
type Disk = { number: number; uniqueId: string; sizeBytes: number; tree: TreeRef; maps?: MapRef[] };
/** A restore point, or a void with its reason. */
export type Manifest = { state: 'point' | 'void'; reason?: string; disks: Disk[] } & Numbered;
type Numbered = { format: number; chain: string; sequence: number; retention?: object };
type Machine = { id: string; armId: string; name: string };
type ChainLayout = { format: number; chain: string; blockBytes: number; pageBlocks: number };
type ChainDocument = ChainLayout & { repository: { id: string }; identity: string };
/** A reference: [sequence, disk, shard, attempt] of the object, the record in it, and the blocks below it. */
type Ref = { object: number[]; record: number; present: number };

const must: (condition: boolean, what: string) => asserts condition = (condition, what) => {
  if (!condition) throw new Error(what);
};
const at = <T>(list: ArrayLike<T>, index: number, what = 'a list'): T => {
  must(Number.isInteger(index) && index >= 0 && index < list.length, `${what}: ${index} is out of range`);
  return list[index] as T;
};
const sha256 = (bytes: Buffer | string): Buffer => createHash('sha256').update(bytes).digest();
const hkdf = (key: Buffer, salt: Buffer | string, info: Buffer | string): Buffer =>
  Buffer.from(hkdfSync('sha256', key, salt, info, 32));
const u32 = (value: number): Buffer => Buffer.from([0, 8, 16, 24].map((shift) => (value >>> shift) & 255));
/** AES-256-GCM; the last 16 bytes are the tag. */
function gcm(key: Buffer, nonce: Buffer, associated: Buffer, sealed: Buffer): Buffer {
  const cipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: 16 });
  cipher.setAAD(associated);
  cipher.setAuthTag(sealed.subarray(sealed.length - 16));
  return Buffer.concat([cipher.update(sealed.subarray(0, sealed.length - 16)), cipher.final()]);
}

/** A cursor over plain bytes. */
class Cursor {
  #at = 0;
  readonly #bytes: Buffer;
  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }
  varint(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = at(this.#bytes, this.#at++, 'varint');
      value += (byte & 127) * scale;
      must(Number.isSafeInteger(value), 'varint is too large');
      if (byte < 128) return value;
    }
  }
  signed(): number {
    const value = this.varint();
    return value % 2 === 1 ? -(value + 1) / 2 : value / 2;
  }
  /** `count` values, each stored less the one before; the first less 0. */
  deltas(count: number): number[] {
    let value = 0;
    return Array.from({ length: count }, () => (value += this.signed()));
  }
  /** The bits that are set, of `count`. */
  bits(count: number): number[] {
    const set = this.take(Math.ceil(count / 8));
    return Array.from({ length: count }, (_, i) => i).filter((i) => at(set, i >> 3) & (1 << (i & 7)));
  }
  /** For each index: a number, stored less (the last one with that index + 1); the first less 0. */
  following(indexes: readonly number[]): number[] {
    const next = new Map<number, number>();
    return indexes.map((index) => {
      const value = (next.get(index) ?? 0) + this.signed();
      next.set(index, value + 1);
      return value;
    });
  }
  take(length: number): Buffer {
    must(this.#at + length <= this.#bytes.length, 'ends too early');
    return this.#bytes.subarray(this.#at, (this.#at += length));
  }
  rest(): Buffer {
    return this.take(this.#bytes.length - this.#at);
  }
  end(): void {
    must(this.#at === this.#bytes.length, 'goes on after its end');
  }
}

/** Lines 1 and 2 of a document; `authenticate` compares line 3 when there is a key (null: mode `none`). */
function readDocument<T>(name: string, bytes: Buffer) {
  const [line = '', sum, mac, ...rest] = bytes.toString('utf8').split('\n');
  must(rest.length === 1 && rest[0] === '' && sum === sha256(line).toString('hex'), `${name}: damaged`);
  return {
    json: JSON.parse(line) as T,
    authenticate(key: Buffer | null): void {
      const wanted = key === null ? '-' : createHmac('sha256', key).update(`${name}\0${line}`).digest('hex');
      must(mac === wanted, `${name}: forged`);
    },
  };
}

function masterKey(repository: string, slots: readonly Slot[], password: string): Buffer {
  for (const { id, scrypt, nonce, wrapped } of slots.filter(({ kind }) => kind === 'password')) {
    const { N, r, p } = scrypt;
    const cost = { N, r, p, maxmem: 256 * N * r + 2 ** 20 };
    const key = scryptSync(password.normalize('NFC'), Buffer.from(scrypt.salt, 'base64'), 32, cost);
    const associated = Buffer.from(`holdfast/1/slot\0${repository}\0${id}`);
    try {
      return gcm(key, Buffer.from(nonce, 'base64'), associated, Buffer.from(wrapped, 'base64'));
    } catch {
      // Perhaps another slot.
    }
  }
  throw new Error('wrong password');
}

/** Opens records of an object by its header; `key` is null in mode `none`. */
function opener(bytes: Buffer, key: Buffer | null, kind: number, chain: string, name: string) {
  const header = bytes.subarray(0, 40);
  must(header.length === 40 && header.toString('latin1', 0, 4) === 'HFST', `${name}: no such object`);
  must(header[4] === 1, `${name}: another version of the format`);
  must(header[5] === (key ? 1 : 0) && header[6] === kind && header[7] === 0, `${name}: header`);
  const bound = Buffer.from(`${chain}\0${name}`);
  const objectKey = key && hkdf(key, header.subarray(8), Buffer.concat([Buffer.from([kind]), bound]));
  return (record: number, sealed: Buffer): Buffer => {
    must(sealed.length >= 16, `${name}: record ${record} is too short`);
    const associated = Buffer.concat([header, u32(record), bound]);
    if (objectKey) return gcm(objectKey, Buffer.concat([u32(record), Buffer.alloc(8)]), associated, sealed);
    const plain = sealed.subarray(0, sealed.length - 16);
    const tag = sha256(Buffer.concat([associated, plain])).subarray(0, 16);
    must(tag.equals(sealed.subarray(sealed.length - 16)), `${name}: record ${record} has another checksum`);
    return plain;
  };
}

/** An object of many records. */
function openRecords(bytes: Buffer, key: Buffer | null, kind: number, chain: string, name: string) {
  const open = opener(bytes, key, kind, chain, name);
  must(bytes.length >= 68 && bytes.toString('latin1', bytes.length - 4) === 'HFSE', `${name}: end`);
  const indexAt = bytes.length - 12 - 16 - bytes.readUInt32LE(bytes.length - 12);
  must(indexAt >= 40, `${name}: index`);
  const sealedIndex = bytes.subarray(indexAt, bytes.length - 12);
  const index = new Cursor(open(0xffffffff, sealedIndex));
  const count = index.varint();
  must(count === bytes.readUInt32LE(bytes.length - 8), `${name}: number of records`);
  const lengths = Array.from({ length: count }, () => index.varint());
  let offset = 40;
  const extents = lengths.map((length) => ({ from: offset, to: (offset += length + 16) }));
  must(offset === indexAt, `${name}: does not add up`);
  return {
    count,
    size: bytes.length,
    tag: sealedIndex.subarray(-16).toString('hex'),
    lengths,
    payload: index.rest(),
    record(i: number): Buffer {
      const { from, to } = at(extents, i, name);
      return open(i, bytes.subarray(from, to));
    },
  };
}
type Records = ReturnType<typeof openRecords>;

/** The packs that a map object lists, each with the record that holds its index. */
function packsOf(map: Records) {
  const bytes = new Cursor(map.payload);
  let record = 0;
  for (let left = bytes.varint(); left > 0; left--) {
    must(bytes.varint() > 0, 'a page is listed twice');
    if (bytes.varint() > 0) record++;
  }
  const packs = Array.from({ length: bytes.varint() }, () => ({
    number: bytes.varint(),
    size: bytes.varint(),
    record: record++,
  }));
  bytes.end();
  must(record === map.count, 'a map object has more records than it lists');
  return packs;
}

function references(record: Buffer, count: number): (Ref | null)[] {
  const bytes = new Cursor(zstdDecompressSync(record));
  const objects = bytes.varint();
  const fields = [0, 1, 2, 3].map(() => bytes.deltas(objects));
  const places = bytes.bits(count);
  const indexes = bytes.deltas(places.length);
  const records = bytes.following(indexes);
  const present = bytes.deltas(places.length);
  bytes.end();
  const refs: (Ref | null)[] = Array.from({ length: count }, () => null);
  for (const [i, place] of places.entries()) {
    const object = fields.map((field) => at(field, at(indexes, i)));
    refs[place] = { object, record: at(records, i), present: at(present, i) };
  }
  return refs;
}

function pageOf(record: Buffer): { block: number; pack: number[]; ordinal: number }[] {
  const bytes = new Cursor(zstdDecompressSync(record));
  const packs = bytes.varint();
  const fields = [0, 1, 2, 3, 4].map(() => bytes.deltas(packs));
  const present = bytes.bits(256);
  const indexes = bytes.deltas(present.length);
  const ordinals = bytes.following(indexes);
  bytes.end();
  return present.map((block, i) => ({
    block,
    pack: fields.map((field) => at(field, at(indexes, i))),
    ordinal: at(ordinals, i),
  }));
}

const digits = (value = -1, width = 0): string => String(value).padStart(width, '0');
const treeName = (chain: string, [sequence, disk, , attempt]: readonly number[]): string =>
  `chains/${chain}/maps/${digits(sequence, 8)}.${digits(disk, 4)}-${digits(attempt, 3)}.tree`;
const mapName = (chain: string, [sequence, disk, shard, attempt]: readonly number[]): string =>
  `chains/${chain}/maps/${digits(sequence, 8)}.${digits(disk, 4)}.${digits(shard, 6)}-${digits(attempt, 3)}.map`;
const packName = (chain: string, id: readonly number[], generation: number): string =>
  `chains/${chain}/packs/${[8, 4, 6, 3, 6].map((width, i) => digits(id[i], width)).join('-')}${generation ? `.g${generation}` : ''}.pack`;
/** Generation 0, then the compacted ones from the highest down. */
const GENERATIONS = [0, ...Array.from({ length: 40 }, (_, i) => 40 - i)];

/** The chains in a listing of the meta container, and of each the numbers that are decided. */
export function listChains(names: readonly string[]): Map<string, number[]> {
  const chains = new Map<string, number[]>();
  for (const name of names.toSorted()) {
    const [, chain = '', sequence] = /^chains\/([^/]+)\/(?:chain|points\/(\d+)\.manifest)$/.exec(name) ?? [];
    if (chain === '') continue;
    const decided = chains.get(chain) ?? [];
    chains.set(chain, decided);
    if (sequence !== undefined) decided.push(Number(sequence));
  }
  return chains;
}

/** An open repository. `password` null: it is expected to be unencrypted. Everything that is damaged throws. */
export class IndependentReader {
  readonly id: string;
  readonly #containers: Containers;
  readonly #master: Buffer | null;
  readonly #open = new Map<string, Records>();

  constructor(containers: Containers, password: string | null) {
    this.#containers = containers;
    const head = readDocument<{ format: number; id: string; mode: string; slots: Slot[] }>(
      'repository',
      this.#object('meta', 'repository'),
    );
    const { format, id, mode, slots } = head.json;
    must(format === 1, 'repository: another version of the format');
    must(mode === (password === null ? 'none' : 'encrypted'), `repository: its mode is ${mode}`);
    this.id = id;
    this.#master = password === null ? null : masterKey(id, slots, password);
    head.authenticate(this.key('document'));
  }

  #object(container: keyof Containers, name: string): Buffer {
    const bytes = this.#containers[container](name);
    must(bytes !== null, `${name}: missing`);
    return bytes;
  }

  /** A derived key; null in mode `none`. */
  key(purpose: string): Buffer | null {
    return this.#master && hkdf(this.#master, this.id, `holdfast/1/${purpose}`);
  }

  /** The chain's document, with the machine that is sealed in it. */
  chain(chain: string): { machine: Machine; blockBytes: number } {
    const name = `chains/${chain}/chain`;
    const head = readDocument<ChainDocument>(name, this.#object('meta', name));
    head.authenticate(this.key('document'));
    const { format, repository, blockBytes, pageBlocks, identity } = head.json;
    must(format === 1 && head.json.chain === chain && repository.id === this.id, `${name}: of another chain`);
    must(pageBlocks === 256, `${name}: pageBlocks`);
    const sealed = Buffer.from(identity, 'base64');
    const plain = opener(sealed, this.key('meta'), 4, chain, name)(0, sealed.subarray(40));
    const { machine } = JSON.parse(plain.toString()) as { machine: Machine };
    return { machine, blockBytes };
  }

  manifest(chain: string, sequence: number): Manifest {
    const name = `chains/${chain}/points/${digits(sequence, 8)}.manifest`;
    const sealed = this.#object('meta', name);
    const plain = opener(sealed, this.key('meta'), 2, chain, name)(0, sealed.subarray(40));
    const manifest = JSON.parse(plain.toString()) as Manifest;
    const { format, chain: of, sequence: number } = manifest;
    must(format === 1 && of === chain && number === sequence, `${name}: of another number`);
    return manifest;
  }

  /** One disk of a restore point, whole. */
  disk(chain: string, sequence: number, number: number): Buffer {
    const { blockBytes } = this.chain(chain);
    const manifest = this.manifest(chain, sequence);
    must(manifest.state === 'point', `${chain}/${sequence} is no restore point`);
    const disk = manifest.disks.find((one) => one.number === number);
    must(disk !== undefined, `no disk ${number}`);
    for (const { shard, attempt, length, tag } of disk.maps ?? []) {
      const map = this.#map(chain, [sequence, number, shard, attempt]);
      must(map.size === length && map.tag === tag, 'another map object than the manifest says');
    }
    const { sizeBytes, tree } = disk;
    const top = this.#tree(chain, [tree.sequence, tree.disk, 0, tree.attempt]);
    must(top.tag === tree.tag && top.size === tree.length, 'another tree than the manifest says');
    const pages = Math.ceil(Math.ceil(sizeBytes / blockBytes) / 256);
    const content = Buffer.alloc(sizeBytes);
    for (const [n, node] of references(top.record(top.count - 1), Math.ceil(pages / 256)).entries()) {
      if (!node) continue;
      const refs = references(this.#tree(chain, node.object).record(node.record), 256);
      must(refs.reduce((sum, ref) => sum + (ref?.present ?? 0), 0) === node.present, 'blocks of a node');
      for (const [p, ref] of refs.entries()) {
        if (!ref) continue;
        const blocks = pageOf(this.#map(chain, ref.object).record(ref.record));
        must(blocks.length === ref.present, 'blocks of a page');
        for (const { block, pack, ordinal } of blocks) {
          const offset = ((n * 256 + p) * 256 + block) * blockBytes;
          must(offset < sizeBytes, 'a block past the end of the disk');
          this.#block(chain, pack, ordinal, blockBytes).copy(content, offset);
        }
      }
    }
    return content;
  }

  #block(chain: string, id: readonly number[], ordinal: number, blockBytes: number): Buffer {
    const map = this.#map(chain, id);
    const entry = packsOf(map).find(({ number }) => number === id[4]);
    must(entry !== undefined, 'a map object lacks a pack');
    const index = new Cursor(map.record(entry.record));
    const lengths = Array.from({ length: index.varint() }, () => index.varint());
    const payload = index.rest();
    const pack = this.#pack(chain, id, ordinal);
    must(pack.payload.equals(payload), 'another pack than the map object says');
    must(pack.generation > 0 || pack.size === entry.size, 'another length than the map object says');
    for (const [i, length] of pack.lengths.entries())
      must(length === lengths[i] || (pack.generation > 0 && length === 0), 'another block');
    const said = new Cursor(payload);
    must(said.take(1)[0] === 1, 'unknown digest algorithm');
    const codecs = said.take(lengths.length);
    const digests = said.take(lengths.length * 24);
    said.end();
    const stored = pack.record(ordinal);
    const codec = at(codecs, ordinal);
    must(codec === 0 || codec === 1, 'unknown codec');
    const plain = codec === 1 ? zstdDecompressSync(stored) : stored;
    must(plain.length === blockBytes, 'length of a block');
    const key = this.key('digest');
    const digest = key ? createHmac('sha256', key).update(plain).digest() : sha256(plain);
    must(digest.subarray(0, 24).equals(digests.subarray(ordinal * 24, ordinal * 24 + 24)), 'digest');
    return plain;
  }

  /** The pack, or the generation of it that holds the block. */
  #pack(chain: string, id: readonly number[], ordinal: number): Records & { generation: number } {
    for (const generation of GENERATIONS) {
      const name = packName(chain, id, generation);
      if (!this.#containers.data(name)) continue;
      const pack = this.#records('data', `chain/${chain}`, 7, chain, name);
      if (pack.lengths[ordinal] !== 0) return { ...pack, generation };
    }
    throw new Error(`${packName(chain, id, 0)}: missing`);
  }

  #tree(chain: string, id: readonly number[]): Records {
    return this.#records('meta', 'meta', 5, chain, treeName(chain, id));
  }

  #map(chain: string, id: readonly number[]): Records {
    return this.#records('data', `chain/${chain}`, 6, chain, mapName(chain, id));
  }

  #records(container: keyof Containers, purpose: string, kind: number, chain: string, name: string): Records {
    const known = this.#open.get(name);
    if (known) return known;
    const made = openRecords(this.#object(container, name), this.key(purpose), kind, chain, name);
    this.#open.set(name, made);
    return made;
  }
}

/** The disks of a restore point, by number. */
export function readPoint(
  containers: Containers,
  password: string | null,
  chain: string,
  sequence: number,
): Map<number, Buffer> {
  const reader = new IndependentReader(containers, password);
  const { disks } = reader.manifest(chain, sequence);
  return new Map(disks.map(({ number }) => [number, reader.disk(chain, sequence, number)]));
}
