import { HoldfastError } from '../../model/index.ts';
import type { BlobCall, BlobContent, BlobInfo, BlobStore, BlobVersion } from '../blobStore.ts';

/** `locked`: nobody shortens or lifts it. `unlocked`: an administrator can; for trying out. */
export interface Lock {
  readonly until: Date;
  readonly mode: 'locked' | 'unlocked';
}

export interface LockedInfo extends BlobInfo {
  /** Names this version of the object; they sort by age. */
  readonly version: string;
  readonly lock: Lock | null;
}

export interface VersionInfo extends LockedInfo {
  /** False: it was replaced, or the object was removed by name. */
  readonly current: boolean;
}

/**
 * A container that keeps every version of an object, and lets a version be locked: until its date nobody removes or alters
 * it, whatever their rights. Implementations: Azure Blob Storage with version-level immutability; a model in tests.
 *
 * Contract, beyond that of `BlobStore`
 * - `create`, `replace` and `remove` are about the current version. `replace` and `remove` leave the one before as a version
 *   that is not current, with its lock: an attacker who may write can hide an object, not end it.
 * - `create` succeeds for a name without a current version, even if there are older ones.
 * - A lock is only ever extended: `extend` to an earlier date changes nothing. It is in force when the call is answered;
 *   whoever relies on it reads it back (`listLocks`, `lockOf`), since a service may take the call and not do it.
 * - `removeVersion` of a locked version throws `conflict` with the date (`lockedUntil`); a missing one is no error.
 * - Locks are judged by the store's clock.
 */
export interface LockableStore extends BlobStore {
  createLocked(name: string, bytes: Uint8Array, until: Date, options?: BlobCall): Promise<BlobVersion>;
  /** Of the current version, or of the one that is named. `missingObject` when it is not there. */
  extend(name: string, until: Date, version?: string, options?: BlobCall): Promise<void>;
  /** Null: not locked. `missingObject` when it is not there. */
  lockOf(name: string, version?: string, options?: BlobCall): Promise<Lock | null>;
  /** Current versions with their locks, in name order. */
  listLocks(prefix: string, options?: BlobCall): AsyncIterable<LockedInfo>;
  /** All versions, in name order, those of one name from the oldest on. */
  listVersions(prefix: string, options?: BlobCall): AsyncIterable<VersionInfo>;
  readVersion(name: string, version: string, options?: BlobCall): Promise<BlobContent>;
  removeVersion(name: string, version: string, options?: BlobCall): Promise<void>;
}

/** The refusal to remove what is locked. */
export const lockedUntil = (name: string, where: string, { until, mode }: Lock): HoldfastError =>
  new HoldfastError(
    'conflict',
    `${name} in ${where} is ${mode === 'locked' ? 'immutable' : 'protected'} until ${until.toISOString()} and cannot be removed before. Nothing needs to be done: it goes when its time is over.`,
    { target: name },
  );
