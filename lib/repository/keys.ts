import { createSecretKey, hkdfSync, type KeyObject } from 'node:crypto';
import { HoldfastError } from '../model/index.ts';

/** `encrypted`: AES-256-GCM under derived keys. `none`: checksums, which find accidents and no attackers. */
export type RepositoryMode = 'encrypted' | 'none';

/** What objects are sealed with; null in mode `none`. */
export type SealingKey = KeyObject | null;

/** Everything that derives from the master key. It stays in the app and in offline tools; a worker never holds it. */
export interface RepositoryKeys {
  readonly mode: RepositoryMode;
  /** Says which master key this is without telling it: hex. Empty in mode `none`. */
  readonly fingerprint: string;
  /** Authenticates documents: descriptor, owner, chain. */
  readonly document: SealingKey;
  /** Seals the objects of the meta container. */
  readonly meta: SealingKey;
  readonly chain: (chain: string) => ChainKeys;
}

/** What it takes to read and write the data objects of one chain. */
export interface ChainKeys {
  readonly mode: RepositoryMode;
  /** Seals the chain's data objects and its staging objects. */
  readonly seal: SealingKey;
  /** Keys the digests of blocks; the same in all chains of a repository. */
  readonly digest: SealingKey;
}

const derive = (master: Uint8Array, repository: string, purpose: string): Buffer =>
  Buffer.from(hkdfSync('sha256', master, repository, `holdfast/1/${purpose}`, 32));

const NO_KEYS: ChainKeys = { mode: 'none', seal: null, digest: null };

/** `master`: 32 bytes, or null in mode `none`. `repository`: the repository's id. */
export function deriveKeys(master: Uint8Array | null, repository: string): RepositoryKeys {
  if (master === null) {
    return { mode: 'none', fingerprint: '', document: null, meta: null, chain: () => NO_KEYS };
  }
  const key = (purpose: string) => createSecretKey(derive(master, repository, purpose));
  const digest = key('digest');
  // The closure keeps the master key's bytes; nothing else does.
  return {
    mode: 'encrypted',
    fingerprint: derive(master, repository, 'fingerprint').subarray(0, 16).toString('hex'),
    document: key('document'),
    meta: key('meta'),
    chain: (chain) => ({ mode: 'encrypted', seal: key(`chain/${chain}`), digest }),
  };
}

const BUNDLE_VERSION = 1;
const BUNDLE_BYTES = 66;

/** The chain's keys as a worker gets them: version, mode, sealing key, digest key; 66 bytes. A secret. */
export function encodeChainKeys(keys: ChainKeys): Buffer {
  const bundle = Buffer.alloc(BUNDLE_BYTES);
  bundle[0] = BUNDLE_VERSION;
  if (keys.seal && keys.digest) {
    bundle[1] = 1;
    keys.seal.export().copy(bundle, 2);
    keys.digest.export().copy(bundle, 34);
  }
  return bundle;
}

export function decodeChainKeys(bundle: Uint8Array): ChainKeys {
  if (bundle.length !== BUNDLE_BYTES || bundle[0] !== BUNDLE_VERSION) {
    throw new HoldfastError(
      'invalidInput',
      'The chain key that came with the job is not one this version knows.',
      {
        target: 'chainKey',
      },
    );
  }
  if (bundle[1] === 0) return NO_KEYS;
  return {
    mode: 'encrypted',
    seal: createSecretKey(bundle.subarray(2, 34)),
    digest: createSecretKey(bundle.subarray(34, 66)),
  };
}
