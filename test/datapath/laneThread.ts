/** A lane's thread for tests: folders as stores, the disk's content as data. Told to refuse, it asks for fresh access first. */
import { join } from 'node:path';
import { workerData } from 'node:worker_threads';
import { isLaneThread, type OpenPlaces, runLaneThread } from '../../lib/datapath/runLaneThread.ts';
import { HoldfastError } from '../../lib/model/index.ts';
import { decodeChainKeys, FolderBlobStore } from '../../lib/repository/index.ts';

interface Given {
  readonly fail?: boolean;
  readonly folder: string;
  readonly chain: string;
  readonly blockBytes: number;
  readonly key: Uint8Array;
  readonly content: Uint8Array;
  readonly refuse?: boolean;
  /** Folders of the stores. */
  readonly data?: string;
  readonly staging?: string;
}

/** What this thread was refused, and would have waited for it. */
const refused = { calls: 0, seconds: 0 };

if (isLaneThread(workerData)) {
  const open: OpenPlaces = (given, renew) => {
    let access = given as Given;
    if (access.fail) throw new HoldfastError('accessDenied', 'The lane may not.', { target: 'the lane' });
    const content = Buffer.from(access.content);
    return {
      chain: access.chain,
      blockBytes: access.blockBytes,
      keys: decodeChainKeys(access.key),
      data: new FolderBlobStore(join(access.folder, access.data ?? 'data')),
      staging: new FolderBlobStore(join(access.folder, access.staging ?? 'staging')),
      source: {
        sizeBytes: content.length,
        async read(offset: number, length: number) {
          if (access.refuse) {
            refused.calls++;
            refused.seconds += 2;
            access = (await renew()) as Given;
          }
          return content.subarray(offset, offset + length);
        },
      },
    };
  };
  runLaneThread(open, () => refused);
}
