import type { LaneAccess, LanePlaces } from '../lib/datapath/index.ts';
import type { JobSecrets, JobSpec } from '../lib/model/index.ts';
import { decodeChainKeys } from '../lib/repository/index.ts';
import { Access } from './access.ts';
import { openPlaces } from './jobIo.ts';

/** What a lane's thread opens its places with: the job, and its secrets as they are now. */
interface JobAccess {
  readonly spec: JobSpec;
  readonly secrets: JobSecrets;
}

/** The main thread's side: secrets are renewed there, once for all who were refused with the same. */
export function laneAccess(spec: JobSpec, access: Access): LaneAccess {
  const now = (): JobAccess => ({ spec, secrets: access.secrets });
  return {
    current: now,
    async renew(refused) {
      await access.replace((refused as JobAccess).secrets);
      return now();
    },
  };
}

/** The lane's side: adapters of its own, over connections of its own. */
export function openLane(given: unknown, renew: () => Promise<unknown>): LanePlaces {
  const { spec, secrets } = given as JobAccess;
  const access = new Access(secrets, async () => ((await renew()) as JobAccess).secrets);
  const { chainKey, data, staging, source, sink } = openPlaces(spec, access);
  const keys = decodeChainKeys(chainKey);
  chainKey.fill(0);
  return { chain: spec.chain.id, blockBytes: spec.chain.blockBytes, keys, data, staging, source, sink };
}
