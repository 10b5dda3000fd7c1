import {
  type BlobStore,
  type Collected,
  type CollectionPlan,
  type Compacted,
  type CompactionPlan,
  checkRepository,
  collect,
  compact,
  MemoryBlobStore,
  openPoint,
  type PointManifest,
  planCollection,
  planCompaction,
  removePoint,
  takeOwnership,
} from '../../lib/repository/index.ts';
import { Lab } from '../datapath/lab.ts';
import type { ModelDisk, ModelSnapshot } from '../datapath/modelDisk.ts';

export const HOUR = 60 * 60 * 1000;
export const OWNER = 'lab';

/** The store's clock, driven by the test. */
export class VirtualTime {
  at = new Date('2026-11-22T00:00:00Z');
  readonly now = (): Date => new Date(this.at);
  advance(ms: number): void {
    this.at = new Date(this.at.getTime() + ms);
  }
}

/** A lab whose stores follow virtual time. */
export class CollectLab {
  readonly time: VirtualTime;
  readonly lab: Lab;

  private constructor(lab: Lab, time: VirtualTime) {
    this.lab = lab;
    this.time = time;
  }

  static async start(blockBytes = 4096, shardBytes = 600 * 1024): Promise<CollectLab> {
    const time = new VirtualTime();
    const store = (name: string) => new MemoryBlobStore(name, time.now);
    const stores = { meta: store('meta'), data: store('data'), staging: store('staging') };
    const lab = await Lab.start({ ...stores, blockBytes, shardBytes });
    await takeOwnership(lab.chain.repository, { installation: OWNER, now: time.at });
    return new CollectLab(lab, time);
  }

  /** The same repository at the same time, for one process: `wrap` stands between it and its stores. */
  async copy(wrap: (store: BlobStore) => BlobStore = (store) => store): Promise<CollectLab> {
    const time = new VirtualTime();
    const copied: BlobStore[] = [];
    for (const store of [this.lab.meta, this.lab.data, this.lab.staging]) {
      const copy = new MemoryBlobStore(store.name, time.now);
      for await (const { name, lastModified } of store.list('')) {
        time.at = lastModified;
        await copy.create(name, (await store.read(name)).bytes);
      }
      copied.push(wrap(copy));
    }
    time.at = this.time.at;
    const [meta, data, staging] = copied;
    if (!meta || !data || !staging) throw new Error('no copy');
    return this.#on({ meta, data, staging }, time);
  }

  /** What a process left behind: `unwrap` takes away what stood between it and its stores. */
  survivors(unwrap: (store: BlobStore) => BlobStore): CollectLab {
    const { meta, data, staging } = this.lab;
    const stores = { meta: unwrap(meta), data: unwrap(data), staging: unwrap(staging) };
    return this.#on(stores, this.time);
  }

  #on(stores: { meta: BlobStore; data: BlobStore; staging: BlobStore }, time: VirtualTime): CollectLab {
    const { blockBytes, shardBytes, chain, truth } = this.lab;
    const lab = new Lab({ ...stores, blockBytes, shardBytes });
    for (const [sequence, snapshots] of truth) lab.truth.set(sequence, snapshots);
    const repository = { ...chain.repository, meta: stores.meta, data: stores.data };
    lab.chain = { ...chain, repository };
    return new CollectLab(lab, time);
  }

  get chain() {
    return this.lab.chain;
  }

  async remove(sequence: number): Promise<void> {
    await removePoint(this.chain, { sequence, by: 'test', now: this.time.at });
    this.lab.truth.delete(sequence);
  }

  async collect(installation = OWNER): Promise<CollectionPlan & { done: Collected }> {
    const plan = await planCollection(this.chain);
    return { ...plan, done: await collect(this.chain, plan, { installation }) };
  }

  async compact(installation = OWNER): Promise<CompactionPlan & { done: Compacted }> {
    const plan = await planCompaction(this.chain, { minWasteBytes: 1 });
    return { ...plan, done: await compact(this.chain, plan, { installation }) };
  }

  async names(store: 'meta' | 'data', part = ''): Promise<string[]> {
    const names: string[] = [];
    for await (const { name } of this.lab[store].list('')) if (name.includes(part)) names.push(name);
    return names;
  }

  /** The content of a disk, read in this process from a manifest, however old that is. */
  async read(point: number | PointManifest, uniqueId: string): Promise<Buffer> {
    const open = await openPoint(this.chain, point);
    const number = open.manifest.disks.find((disk) => disk.uniqueId === uniqueId)?.number ?? -1;
    const disk = await open.disk(number);
    const content = Buffer.alloc(disk.disk.sizeBytes);
    for await (const run of disk.blocks())
      for (const { block, bytes } of run) bytes.copy(content, block * this.chain.blockBytes);
    return content;
  }

  /** Every committed point that was not removed is as its snapshot. */
  async mustHold(): Promise<void> {
    for (const [sequence, snapshots] of this.lab.truth) {
      for (const [uniqueId, { content }] of snapshots) {
        if (!content.equals(await this.read(sequence, uniqueId)))
          throw new Error(`disk ${uniqueId} of point ${sequence} reads wrongly`);
      }
    }
  }

  check() {
    return checkRepository({ ...this.lab.stores, unlock: this.lab.unlock, depth: 'content' });
  }

  snapshotOf(sequence: number, disk: ModelDisk): ModelSnapshot {
    const snapshot = this.lab.truth.get(sequence)?.get(disk.uniqueId);
    if (!snapshot) throw new Error(`no truth of ${sequence}`);
    return snapshot;
  }
}
