import { join } from 'node:path';
import { MiB } from '../../lib/model/index.ts';
import { openDiskStore } from '../azure/disks/index.ts';
import { StateStore } from '../azure/state.ts';
import { type Fingerprint, fingerprint, type Stretch } from './fingerprint.ts';

/** The bytes themselves, from the simulator's disk store: nothing of Holdfast stands between them and the reader. */
export interface Truth {
  /** Every byte of a disk or snapshot, by its ARM id. */
  fingerprint(id: string): Promise<Fingerprint>;
  /** Blocks of `blockBytes` that a snapshot has written or cleared since an older one of the same disk. */
  changedBlocks(snapshotId: string, baseSnapshotId: string, blockBytes: number): Promise<number>;
  close(): Promise<void>;
}

const READ_BYTES = 4 * MiB;

/** Opens the state of a simulator that has ended; it is refused while one runs on `folder`. */
export async function openTruth(folder: string): Promise<Truth> {
  const state = new StateStore(folder);
  const records = ['disks', 'snapshots'].map((name) => state.collection<{ uniqueId: string }>(name));
  const store = await openDiskStore(join(folder, 'disks'));
  const contentOf = (id: string): string => {
    const record = records.map((collection) => collection.get(id)).find(Boolean);
    if (!record) throw new Error(`There is no disk or snapshot ${id}.`);
    return record.uniqueId;
  };
  async function* stretches(content: string): AsyncIterable<Stretch> {
    for await (const { offset, length } of store.ranges(content)) {
      for (let at = 0; at < length; at += READ_BYTES) {
        const bytes = await store.read(content, offset + at, Math.min(READ_BYTES, length - at));
        yield { offset: offset + at, bytes };
      }
    }
  }
  return {
    fingerprint: (id) => {
      const content = contentOf(id);
      return fingerprint(store.describe(content).sizeBytes, stretches(content));
    },
    async changedBlocks(snapshotId, baseSnapshotId, blockBytes) {
      const blocks = new Set<number>();
      for await (const { offset, length } of store.diff(contentOf(snapshotId), contentOf(baseSnapshotId))) {
        const last = Math.floor((offset + length - 1) / blockBytes);
        for (let block = Math.floor(offset / blockBytes); block <= last; block++) blocks.add(block);
      }
      return blocks.size;
    },
    async close() {
      await store.close();
      state.close();
    },
  };
}
