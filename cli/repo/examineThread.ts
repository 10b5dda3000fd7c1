/** A thread that looks into packs: the entry of `ExamineThreads`. */
import { workerData } from 'node:worker_threads';
import { SasBlobStore } from '../../lib/azure/sasBlobs.ts';
import { isLaneThread, runLaneThread } from '../../lib/datapath/index.ts';
import { decodeChainKeys, FolderBlobStore } from '../../lib/repository/index.ts';
import type { ExamineAccess } from './examiner.ts';

if (isLaneThread(workerData)) {
  runLaneThread((given) => {
    const { place, chain, blockBytes, chainKey } = given as ExamineAccess;
    const data = 'folder' in place ? new FolderBlobStore(place.folder) : new SasBlobStore(place.url);
    // Nothing is staged: looking into packs reads the data alone.
    return { chain, blockBytes, keys: decodeChainKeys(Buffer.from(chainKey)), data, staging: data };
  });
}
