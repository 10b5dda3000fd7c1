import type { TokenCredential } from '@azure/core-auth';
import {
  BlobSASPermissions,
  BlobServiceClient,
  ContainerSASPermissions,
  generateBlobSASQueryParameters,
  SASProtocol,
  type UserDelegationKey,
} from '@azure/storage-blob';
import { type Clock, HoldfastError, systemClock } from '../model/index.ts';
import { blobError } from './blobErrors.ts';

/** The longest SAS that is ever issued: a worker asks for a fresh one. */
const MAX_SAS_SECONDS = 3600;

/** Clocks of app, storage and worker may differ by this much. */
const SKEW_MS = 15 * 60_000;
const KEY_MS = 6 * 3600_000;
const CALL_MS = 30_000;
/** The form of what is signed. Later ones have fields for delegation to users, which are not needed here and which Azurite does not know. */
const SIGNED_VERSION = '2024-11-04';

export interface IssuedSas {
  /** A secret. */
  readonly url: string;
  readonly expiresAt: Date;
}

/**
 * User-delegation SAS of one storage account: signed with a key that the app's identity got from storage (it needs the role
 * `Storage Blob Delegator` or `Storage Blob Data Contributor`), never with an account key. HTTPS only, an hour at most.
 */
export class SasIssuer {
  readonly #service: BlobServiceClient;
  readonly #account: string;
  readonly #clock: Clock;
  #key: { key: UserDelegationKey; until: number } | undefined;
  #asking: Promise<UserDelegationKey> | undefined;

  /** `accountUrl`: `https://account.blob.core.windows.net`, or path-style `https://127.0.0.1:PORT/account`. */
  constructor(accountUrl: string, credential: TokenCredential, clock: Clock = systemClock) {
    this.#service = new BlobServiceClient(accountUrl, credential);
    this.#account = this.#service.accountName;
    this.#clock = clock;
    if (this.#account === '' || !accountUrl.startsWith('https:')) {
      throw new HoldfastError('notConfigured', `"${accountUrl}" is not the https URL of a storage account.`);
    }
  }

  /** For a worker: create and read blobs of one container; no list, no overwrite, no delete. */
  async forWorker(container: string, seconds: number): Promise<IssuedSas> {
    const permissions = ContainerSASPermissions.from({ create: true, read: true });
    return this.#issue(container, undefined, permissions, seconds);
  }

  /** Reads one blob (the worker package). */
  async forReading(container: string, blob: string, seconds: number): Promise<IssuedSas> {
    return this.#issue(container, blob, BlobSASPermissions.from({ read: true }), seconds);
  }

  /** Reads one snapshot of a blob, and not the blob. */
  async forSnapshot(
    container: string,
    blob: string,
    snapshotTime: string,
    seconds: number,
  ): Promise<IssuedSas> {
    const permissions = BlobSASPermissions.from({ read: true });
    return this.#issue(container, blob, permissions, seconds, snapshotTime);
  }

  async #issue(
    containerName: string,
    blobName: string | undefined,
    permissions: ContainerSASPermissions | BlobSASPermissions,
    seconds: number,
    snapshotTime?: string,
  ): Promise<IssuedSas> {
    if (!(seconds > 0 && seconds <= MAX_SAS_SECONDS)) {
      throw new HoldfastError('invalidInput', `A SAS lasts 1 to ${MAX_SAS_SECONDS} s, not ${seconds}.`);
    }
    const key = await this.#delegationKey();
    const now = this.#clock.now().getTime();
    const expiresOn = new Date(now + seconds * 1000);
    const query = generateBlobSASQueryParameters(
      {
        containerName,
        ...(blobName === undefined ? {} : { blobName }),
        ...(snapshotTime === undefined ? {} : { snapshotTime }),
        permissions,
        version: SIGNED_VERSION,
        protocol: SASProtocol.Https,
        startsOn: new Date(now - SKEW_MS),
        expiresOn,
      },
      key,
      this.#account,
    );
    const container = this.#service.getContainerClient(containerName);
    const url = blobName === undefined ? container.url : container.getBlobClient(blobName).url;
    const snapshot = snapshotTime === undefined ? '' : `snapshot=${encodeURIComponent(snapshotTime)}&`;
    return { url: `${url}?${snapshot}${query.toString()}`, expiresAt: expiresOn };
  }

  /** The cached key while it outlives any SAS that it would sign; else a new one. Callers at the same time share one request. */
  async #delegationKey(): Promise<UserDelegationKey> {
    const now = this.#clock.now().getTime();
    if (this.#key && this.#key.until - SKEW_MS > now + MAX_SAS_SECONDS * 1000) return this.#key.key;
    this.#asking ??= this.#ask(now).finally(() => {
      this.#asking = undefined;
    });
    return this.#asking;
  }

  async #ask(now: number): Promise<UserDelegationKey> {
    const until = now + KEY_MS;
    try {
      const key = await this.#service.getUserDelegationKey(new Date(now - SKEW_MS), new Date(until), {
        abortSignal: AbortSignal.timeout(CALL_MS),
      });
      this.#key = { key, until };
      return key;
    } catch (error) {
      throw blobError(error, {
        verb: 'get the delegation key of',
        target: this.#account,
        store: this.#account,
        sasEnds: null,
      });
    }
  }
}
