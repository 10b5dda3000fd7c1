import { deflate, inflate } from './blockCodec.ts';
import { ByteReader, ByteWriter } from './byteCodec.ts';
import type { MapId } from './names.ts';

/**
 * A reference to a record of another object: to a page in a map object, or (with shard 0) to a node in a tree object.
 * `present` counts the blocks below it that are not absent.
 */
export interface Ref {
  readonly object: MapId;
  readonly record: number;
  readonly present: number;
}

const FIELDS = ['sequence', 'disk', 'shard', 'attempt'] as const;

/**
 * A fixed number of references or holes: objects in order of first use (count; then each field as difference from the one
 * before), presence (a bit each, lowest first), object index, record and `present` of each as differences; then zstd.
 */
export function encodeRefs(refs: readonly (Ref | null)[]): Buffer {
  const objects: MapId[] = [];
  const indexes = new Map<string, number>();
  const presence = Buffer.alloc(Math.ceil(refs.length / 8));
  const used = refs.flatMap((ref, i) => {
    if (!ref) return [];
    presence[i >> 3] = (presence[i >> 3] ?? 0) | (1 << (i & 7));
    const key = FIELDS.map((field) => ref.object[field]).join('.');
    let index = indexes.get(key);
    if (index === undefined) {
      index = objects.push(ref.object) - 1;
      indexes.set(key, index);
    }
    return [{ index, record: ref.record, present: ref.present }];
  });
  const writer = new ByteWriter(presence.length + refs.length * 6 + 16).varint(objects.length);
  for (const field of FIELDS) {
    let before = 0;
    for (const object of objects) {
      writer.signed(object[field] - before);
      before = object[field];
    }
  }
  writer.bytes(presence);
  let before = 0;
  for (const { index } of used) {
    writer.signed(index - before);
    before = index;
  }
  const expected = new Float64Array(objects.length);
  for (const { index, record } of used) {
    writer.signed(record - (expected[index] ?? 0));
    expected[index] = record + 1;
  }
  before = 0;
  for (const { present } of used) {
    writer.signed(present - before);
    before = present;
  }
  return deflate(writer.done());
}

/** Throws a `RangeError` (or zlib's error) on anything that `encodeRefs` did not write for `count` places. */
export function decodeRefs(bytes: Buffer, count: number): (Ref | null)[] {
  const reader = new ByteReader(inflate(bytes));
  const listed = reader.varint();
  if (listed > count) throw new RangeError('lists more objects than references');
  const column = (length: number, step: (before: number) => number) => {
    let before = 0;
    return Array.from({ length }, () => {
      before = step(before);
      if (before < 0) throw new RangeError('holds a negative number');
      return before;
    });
  };
  const delta = (before: number) => before + reader.signed();
  const [sequence = [], disk = [], shard = [], attempt = []] = FIELDS.map(() => column(listed, delta));
  const objects = sequence.map((value, i) => ({
    sequence: value,
    disk: disk[i] ?? 0,
    shard: shard[i] ?? 0,
    attempt: attempt[i] ?? 0,
  }));
  const presence = reader.bytes(Math.ceil(count / 8));
  const places: number[] = [];
  for (let i = 0; i < count; i++) if ((presence[i >> 3] ?? 0) & (1 << (i & 7))) places.push(i);
  const indexes = column(places.length, delta);
  const expected = new Float64Array(listed);
  const records = indexes.map((index) => {
    const record = (expected[index] ?? 0) + reader.signed();
    if (record < 0) throw new RangeError('holds a negative number');
    expected[index] = record + 1;
    return record;
  });
  const presents = column(places.length, delta);
  reader.end();
  const refs: (Ref | null)[] = Array.from({ length: count }, () => null);
  places.forEach((place, i) => {
    const object = objects[indexes[i] ?? 0];
    if (!object) throw new RangeError('names an object that it does not list');
    refs[place] = { object, record: records[i] ?? 0, present: presents[i] ?? 0 };
  });
  return refs;
}
