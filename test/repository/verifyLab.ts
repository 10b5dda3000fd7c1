import { chainData } from '../../lib/repository/chain.ts';
import {
  type BlobStore,
  type BlockRun,
  MapObjects,
  MemoryBlobStore,
  openPoint,
  packName,
  pageRefs,
} from '../../lib/repository/index.ts';
import { copyStore } from '../datapath/faultyStore.ts';
import { Lab } from '../datapath/lab.ts';

/** A clock that a test moves. */
export class TestClock {
  time: Date;

  constructor(start = '2026-11-22T00:00:00Z') {
    this.time = new Date(start);
  }

  now = (): Date => new Date(this.time);
  sleep = (): Promise<void> => Promise.resolve();

  pass(ms: number): void {
    this.time = new Date(this.time.getTime() + ms);
  }
}

/** The lab's repository again, in stores of its own, with one object changed (null: deleted) or none. */
export async function damagedCopy(
  lab: Lab,
  where: 'meta' | 'data' = 'data',
  name = '',
  change: (bytes: Buffer) => Buffer | null = (bytes) => bytes,
): Promise<Lab> {
  const stores: { meta: BlobStore; data: BlobStore } = {
    meta: await copyStore(lab.meta),
    data: await copyStore(lab.data),
  };
  const store = new MemoryBlobStore(where);
  for await (const { name: other } of lab[where].list('')) {
    const { bytes } = await lab[where].read(other);
    const kept = other === name ? change(Buffer.from(bytes)) : bytes;
    if (kept) await store.create(other, kept);
  }
  const copy = new Lab({ ...stores, [where]: store, shardBytes: lab.shardBytes, blockBytes: lab.blockBytes });
  for (const [sequence, truth] of lab.truth) copy.truth.set(sequence, truth);
  copy.chain = lab.chain;
  await copy.reopen();
  return copy;
}

/** Changes an object where it is. */
export async function spoil(
  store: BlobStore,
  name: string,
  change: (bytes: Buffer) => Buffer | null,
): Promise<void> {
  const { bytes, etag } = await store.read(name);
  const changed = change(Buffer.from(bytes));
  if (changed) await store.replace(name, changed, etag);
  else await store.remove(name);
}

export const flip =
  (offset: number) =>
  (bytes: Buffer): Buffer => {
    const at = offset < 0 ? bytes.length + offset : offset;
    bytes[at] = (bytes[at] ?? 0) ^ (1 << (at % 8));
    return bytes;
  };

export interface Place {
  readonly sequence: number;
  readonly disk: number;
  readonly block: number;
  readonly pack: string;
  readonly ordinal: number;
}

/** Every block of every point, and where it is stored: the plain way, one after the other. */
export async function places(lab: Lab): Promise<Place[]> {
  const all: Place[] = [];
  const maps = new MapObjects(chainData(lab.chain));
  for (const sequence of lab.truth.keys()) {
    const point = await openPoint(lab.chain, sequence);
    for (const { number } of point.manifest.disks) {
      const { map } = await point.disk(number);
      for await (const { page, ref } of pageRefs(map)) {
        const content = await maps.page(ref);
        for (let i = 0; i < content.blocks; i++) {
          const found = content.get(i);
          if (found)
            all.push({
              sequence,
              disk: number,
              block: page * map.pageBlocks + i,
              pack: packName(lab.chain.id, found.pack),
              ordinal: found.ordinal,
            });
        }
      }
    }
  }
  return all;
}

export const expand = (runs: readonly BlockRun[]): number[] =>
  runs.flatMap(([first, count]) => Array.from({ length: count }, (_, i) => first + i));

export async function packNames(lab: Lab): Promise<string[]> {
  const names: string[] = [];
  for await (const { name } of lab.data.list(`chains/${lab.chain.id}/packs/`)) names.push(name);
  return names;
}
