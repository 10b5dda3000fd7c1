/** Storage accounts and their page blobs as they are kept: documents in the state, bytes in the disk store. */
import { randomUUID } from 'node:crypto';
import type { SimulatorClock } from '../clock.ts';
import { type DiskStore, fixedVhdFooter } from '../disks/index.ts';
import type { Collection, StateStore } from '../state.ts';

export interface StorageAccount {
  name: string;
  /** ARM id. */
  id: string;
  /** Page blobs on SSD: tiers, and limits on snapshots. */
  premium: boolean;
  containers: string[];
}

export interface BlobSnapshot {
  /** `2026-11-22T01:02:03.1234567Z`: the `snapshot=` that names it. */
  time: string;
  /** Key in the disk store. */
  content: string;
  metadata: Record<string, string>;
}

/** A page blob. Its content includes the VHD footer. */
export interface PageBlobRecord {
  account: string;
  container: string;
  blob: string;
  /** Key in the disk store: another after each Put Blob. */
  content: string;
  /** Epoch milliseconds. */
  createdAt: number;
  metadata: Record<string, string>;
  /** Id of the machine whose disk it is: it holds a lease that never ends. */
  leasedBy?: string;
  /** Oldest first. */
  snapshots: BlobSnapshot[];
}

export interface BlobPlace {
  account: string;
  container: string;
  blob: string;
}

export const FOOTER_BYTES = 512;

export class StorageAccounts {
  readonly accounts: Collection<StorageAccount>;
  readonly blobs: Collection<PageBlobRecord>;
  readonly store: DiskStore;
  readonly #clock: SimulatorClock;

  constructor(state: StateStore, store: DiskStore, clock: SimulatorClock) {
    this.accounts = state.collection('storageAccounts');
    this.blobs = state.collection('pageBlobs');
    this.store = store;
    this.#clock = clock;
  }

  addAccount(order: Pick<StorageAccount, 'name' | 'id' | 'premium'>): StorageAccount {
    const known = this.accounts.get(order.name);
    return known ?? this.accounts.set(order.name, { ...order, containers: [] });
  }

  addContainer(account: StorageAccount, container: string): boolean {
    if (account.containers.includes(container)) return false;
    this.accounts.set(account.name, { ...account, containers: [...account.containers, container] });
    return true;
  }

  get(place: BlobPlace): PageBlobRecord | undefined {
    return this.blobs.get(keyOf(place));
  }

  save(record: PageBlobRecord): void {
    this.blobs.set(keyOf(record), record);
  }

  /** Of one container, by name. */
  list(account: string, container: string): PageBlobRecord[] {
    return this.blobs
      .filter((one) => one.account === account && one.container === container)
      .sort((a, b) => (a.blob < b.blob ? -1 : 1));
  }

  /**
   * Put Blob: an empty page blob of `sizeBytes`, footer included, in the place of the one that was there. Its snapshots stay. Whether Azure
   * dates an overwritten blob anew is not documented: `keepCreationTime` chooses.
   */
  async put(
    place: BlobPlace,
    sizeBytes: number,
    options: { metadata?: Record<string, string>; keepCreationTime?: boolean } = {},
  ): Promise<PageBlobRecord> {
    const known = this.get(place);
    const content = randomUUID();
    await this.store.create(content, sizeBytes);
    const record: PageBlobRecord = {
      ...place,
      content,
      createdAt: options.keepCreationTime === true && known ? known.createdAt : this.#clock.now().getTime(),
      metadata: options.metadata ?? {},
      snapshots: known?.snapshots ?? [],
      ...(known?.leasedBy === undefined ? {} : { leasedBy: known.leasedBy }),
    };
    this.save(record);
    if (known) await this.store.delete(known.content);
    return record;
  }

  /** A page blob with the footer of a fixed VHD of so many bytes behind them. */
  async putVhd(
    place: BlobPlace,
    diskBytes: number,
    options: { keepCreationTime?: boolean } = {},
  ): Promise<PageBlobRecord> {
    const record = await this.put(place, diskBytes + FOOTER_BYTES, options);
    await this.store.write(record.content, diskBytes, fixedVhdFooter(diskBytes, record.content));
    return record;
  }

  /** Makes a VHD larger, as a resize of the disk of a deallocated machine does. */
  async grow(record: PageBlobRecord, diskBytes: number): Promise<void> {
    const { content } = record;
    const before = this.store.describe(content).sizeBytes - FOOTER_BYTES;
    await this.store.resize(content, diskBytes + FOOTER_BYTES);
    await this.store.clear(content, before, FOOTER_BYTES);
    await this.store.write(content, diskBytes, fixedVhdFooter(diskBytes, content));
  }

  /** Snapshot Blob. Without metadata of its own a snapshot has the blob's. */
  async snapshot(record: PageBlobRecord, metadata: Record<string, string>): Promise<BlobSnapshot> {
    const content = randomUUID();
    await this.store.snapshot(record.content, content);
    const snapshot: BlobSnapshot = {
      time: timeAfter(record.snapshots.at(-1)?.time, this.#clock.now()),
      content,
      metadata: Object.keys(metadata).length > 0 ? metadata : record.metadata,
    };
    this.save({ ...record, snapshots: [...record.snapshots, snapshot] });
    return snapshot;
  }

  async removeSnapshot(record: PageBlobRecord, time: string): Promise<void> {
    const gone = record.snapshots.find((one) => one.time === time);
    this.save({ ...record, snapshots: record.snapshots.filter((one) => one !== gone) });
    if (gone) await this.store.delete(gone.content);
  }

  /** With all its snapshots. */
  async remove(record: PageBlobRecord): Promise<void> {
    this.blobs.delete(keyOf(record));
    for (const { content } of record.snapshots) await this.store.delete(content);
    await this.store.delete(record.content);
  }

  /** A machine lets go of its disks. */
  release(machineId: string): void {
    for (const record of this.blobs.filter(({ leasedBy }) => leasedBy === machineId)) {
      const { leasedBy: _, ...free } = record;
      this.save(free);
    }
  }

  /** Keys in the disk store that belong to blobs. */
  contents(): string[] {
    return this.blobs
      .values()
      .flatMap(({ content, snapshots }) => [content, ...snapshots.map((one) => one.content)]);
  }
}

/** Collections know no case; names of blobs do. */
const keyOf = ({ account, container, blob }: BlobPlace): string =>
  `${account}/${container}/${Buffer.from(blob).toString('hex')}`;

/** Seven digits of a second, and later than the last one. */
function timeAfter(last: string | undefined, now: Date): string {
  const plain = now.toISOString().replace('Z', '0000Z');
  if (last === undefined || plain > last) return plain;
  const [, head = '', digits = ''] = /^(.*\.)(\d{7})Z$/.exec(last) ?? [];
  const next = Number(digits) + 1;
  // Ten million snapshots of a second are out of reach.
  return `${head}${String(next).padStart(7, '0')}Z`;
}
