import type { BlobItem } from '@azure/storage-blob';
import { HoldfastError, isHoldfastError } from '../model/index.ts';
import { fromMetadata, toMetadata } from './blobMetadata.ts';
import type { AzureConnection, CallOptions } from './connection.ts';
import type { DiskSnapshots } from './diskSnapshots.ts';
import { VirtualMachines } from './machines.ts';
import { type PageBlobName, PageBlobs } from './pageBlobs.ts';
import { SasIssuer } from './sas.ts';
import type { SnapshotInfo, SnapshotRequest, SnapshotScope } from './snapshots.ts';
import { hasTag, type Tags } from './tags.ts';
import { VHD_FOOTER_BYTES } from './vhdFooter.ts';

/** A SAS by user delegation cannot be taken back, so it is short: who reads for longer asks again. */
const SAS_SECONDS = 3600;
/** As long as the longest of its kind: stands in where only the room counts. */
const SOME_MARK = {
  name: 'n'.repeat(80),
  sourceUniqueId: `vhd-${'0'.repeat(32)}`,
  place: { subscriptionId: 's'.repeat(36), resourceGroup: 'g'.repeat(90), location: 'l'.repeat(30) },
};

/** One of ours: the mark that it carries, and the time that the service names it by. */
interface Found {
  readonly info: SnapshotInfo;
  readonly time: string;
}

/**
 * Snapshots of unmanaged disks: blob snapshots beside the page blob, which say in their metadata what snapshots of managed
 * disks say in tags. The service names them by their time alone; the name that the session gave is in the metadata too, so
 * that a second run finds the first one's. Should two runs make one each at the same moment, the older is the snapshot, and
 * both go together.
 *
 * Ids are `<URL of the blob>#<name>`. Snapshots without our mark are never seen, and never touched; nor is the blob itself.
 */
export class BlobSnapshots implements DiskSnapshots {
  readonly #blobs: PageBlobs;
  readonly #machines: VirtualMachines;
  readonly #connection: AzureConnection;
  readonly #issuers = new Map<string, SasIssuer>();

  constructor(connection: AzureConnection) {
    this.#connection = connection;
    this.#blobs = new PageBlobs(connection);
    this.#machines = new VirtualMachines(connection);
  }

  idOf({ sourceDiskId, name }: Pick<SnapshotRequest, 'sourceDiskId' | 'name'>): string {
    return `${this.#blobs.parse(sourceDiskId).url}#${name}`;
  }

  checkTags(_: string, tags: Tags, target: string): void {
    toMetadata({ ...SOME_MARK, tags }, target);
  }

  async startCreate(request: SnapshotRequest, options?: CallOptions): Promise<void> {
    const { sourceDiskId, name, tags } = request;
    // Looked up here, so that the mark is of the blob that the snapshot is taken of.
    const { name: blob, uniqueId } = await this.#blobs.read(sourceDiskId, options);
    const metadata = toMetadata({ name, sourceUniqueId: uniqueId, place: request, tags }, name);
    await this.#blobs.run('take a snapshot of', blob, options, (abortSignal) =>
      this.#blobs.client(blob).createSnapshot({ metadata, abortSignal }),
    );
  }

  async find(id: string, options?: CallOptions): Promise<SnapshotInfo | null> {
    return (await this.#findAll(id, options))[0]?.info ?? null;
  }

  async *list(scope: SnapshotScope, options?: CallOptions): AsyncIterable<SnapshotInfo> {
    const seen = new Set<string>();
    for await (const blob of this.#blobsOf(scope, options)) {
      if (seen.has(blob.url)) continue;
      seen.add(blob.url);
      for (const { info } of await this.#visible(blob, options)) {
        if (seen.has(info.id) || !isIn(info, scope)) continue;
        seen.add(info.id);
        if (scope.tag === undefined || hasTag(info.tags, scope.tag)) yield info;
      }
    }
  }

  /** Where the app may not look it has made nothing: an account without the role must not hide the others. */
  async #visible(blob: PageBlobName, options?: CallOptions): Promise<Found[]> {
    try {
      return await this.#snapshotsOf(blob, options);
    } catch (error) {
      if (!isHoldfastError(error, 'accessDenied')) throw error;
      return [];
    }
  }

  async startRemove(id: string, options?: CallOptions): Promise<void> {
    const [blob] = this.#parseId(id);
    for (const { time } of await this.#findAll(id, options)) {
      // An empty time would name the blob itself.
      if (time === '') throw new HoldfastError('internal', `A snapshot of ${blob.url} has no time.`);
      await this.#blobs.run('delete a snapshot of', blob, options, (abortSignal) =>
        this.#blobs.client(blob).withSnapshot(time).deleteIfExists({ abortSignal }),
      );
    }
  }

  startReplaceTags(id: string): Promise<void> {
    const text = 'The metadata of a blob snapshot cannot be changed once it is taken.';
    return Promise.reject(new HoldfastError('unsupported', text, { target: id }));
  }

  async grantRead(id: string, seconds: number, options?: CallOptions): Promise<string> {
    const [blob] = this.#parseId(id);
    const [found] = await this.#findAll(id, options);
    if (!found) throw new HoldfastError('notFound', `There is no snapshot ${id}.`, { target: id });
    const lasts = Math.min(seconds, SAS_SECONDS);
    return (await this.#issuer(blob).forSnapshot(blob.container, blob.blob, found.time, lasts)).url;
  }

  /** Nothing can be ended, and the SAS is over within the hour. */
  async endRead(): Promise<void> {}

  #issuer({ accountUrl }: PageBlobName): SasIssuer {
    const known = this.#issuers.get(accountUrl);
    if (known) return known;
    const made = new SasIssuer(accountUrl, this.#connection.credential, this.#connection.clock);
    this.#issuers.set(accountUrl, made);
    return made;
  }

  #parseId(id: string): [blob: PageBlobName, name: string] {
    const at = id.lastIndexOf('#');
    const name = id.slice(at + 1);
    if (at < 0 || name === '') {
      throw new HoldfastError('invalidInput', `"${id}" is not the id of a blob snapshot.`, { target: id });
    }
    return [this.#blobs.parse(id.slice(0, at)), name];
  }

  /** All that carry the name, oldest first: more than one only after two runs at the same moment. */
  async #findAll(id: string, options?: CallOptions): Promise<Found[]> {
    const [blob, name] = this.#parseId(id);
    return (await this.#snapshotsOf(blob, options)).filter(({ info }) => info.name === name);
  }

  /** Ours of one blob, oldest first. A blob that does not exist has none. */
  async #snapshotsOf(blob: PageBlobName, options?: CallOptions): Promise<Found[]> {
    const found: Found[] = [];
    let continuationToken: string | undefined;
    try {
      do {
        const page = await this.#blobs.run('list the snapshots of', blob, options, async (abortSignal) => {
          const pages = this.#blobs
            .service(blob.accountUrl)
            .getContainerClient(blob.container)
            .listBlobsFlat({ prefix: blob.blob, includeSnapshots: true, includeMetadata: true, abortSignal })
            .byPage({ maxPageSize: 5000, ...(continuationToken ? { continuationToken } : {}) });
          return (await pages.next()).value;
        });
        for (const item of page?.segment.blobItems ?? []) {
          const snapshot = item.name === blob.blob ? toFound(blob, item) : null;
          if (snapshot) found.push(snapshot);
        }
        continuationToken = page?.continuationToken;
      } while (continuationToken);
    } catch (error) {
      if (!isHoldfastError(error, 'notFound')) throw error;
    }
    return found.sort((a, b) => (a.time < b.time ? -1 : 1));
  }

  /** Of the whole subscription: the group of a snapshot need not be that of its machine. */
  async *#blobsOf({ subscriptionId, pageBlobs = [] }: SnapshotScope, options?: CallOptions) {
    for (const url of pageBlobs) yield this.#blobs.parse(url);
    for await (const uri of this.#machines.listPageBlobs({ subscriptionId }, options)) {
      if (this.#blobs.isBlob(uri)) yield this.#blobs.parse(uri);
    }
  }
}

function toFound(blob: PageBlobName, { snapshot, metadata, properties }: BlobItem): Found | null {
  const mark = fromMetadata(metadata);
  if (!mark || !snapshot) return null;
  const { name, sourceUniqueId, place, tags } = mark;
  const info: SnapshotInfo = {
    id: `${blob.url}#${name}`,
    name,
    ...place,
    sku: null,
    timeCreated: new Date(snapshot).toISOString(),
    incremental: true,
    sourceDiskId: blob.url,
    sourceUniqueId,
    // Any two snapshots of one blob can be compared.
    familyId: sourceUniqueId,
    sizeBytes: (properties.contentLength ?? 0) - VHD_FOOTER_BYTES,
    diskState: 'Unattached',
    provisioningState: 'Succeeded',
    tags,
    downloadable: true,
    notDownloadable: null,
  };
  return { info, time: snapshot };
}

const isIn = (info: SnapshotInfo, { subscriptionId, resourceGroup }: SnapshotScope): boolean =>
  info.subscriptionId.toLowerCase() === subscriptionId.toLowerCase() &&
  (resourceGroup === undefined || info.resourceGroup.toLowerCase() === resourceGroup.toLowerCase());
