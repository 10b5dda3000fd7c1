/** What a worker's job touches, opened by URL: the worker's own adapters. */
import { SnapshotDisk, UploadDisk } from '../lib/azure/diskAccess.ts';
import { SasBlobStore } from '../lib/azure/sasBlobs.ts';
import type { LanePlaces } from '../lib/datapath/index.ts';
import { decodeChainKeys } from '../lib/repository/index.ts';

/** Plain data: it goes to the threads. */
export interface Urls {
  readonly chain: string;
  readonly blockBytes: number;
  readonly sizeBytes: number;
  readonly chainKey: Uint8Array;
  readonly dataUrl: string;
  readonly stagingUrl: string;
  readonly sourceUrl?: string | undefined;
  readonly baseUrl?: string | undefined;
  readonly targetUrl?: string | undefined;
}

export function openUrls(given: unknown) {
  const { chain, blockBytes, sizeBytes, chainKey, dataUrl, stagingUrl, sourceUrl, baseUrl, targetUrl } =
    given as Urls;
  return {
    chain,
    blockBytes,
    keys: decodeChainKeys(chainKey),
    data: new SasBlobStore(dataUrl),
    staging: new SasBlobStore(stagingUrl),
    source: sourceUrl === undefined ? undefined : new SnapshotDisk({ sizeBytes, sourceUrl, baseUrl }),
    sink: targetUrl === undefined ? undefined : new UploadDisk({ sizeBytes, targetUrl }),
  } satisfies LanePlaces;
}
