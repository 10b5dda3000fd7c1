import type { RestorePoint } from '../../model/index.ts';
import type { ChainIdentity } from '../chain.ts';
import type { PointManifest } from '../manifest.ts';
import type { RememberedRepository } from '../repository.ts';
import type { PointState } from '../verify/pointState.ts';

/** The highest number of a chain that is decided, and what decides it: remembered, so that an older state is noticed. */
export interface ChainHead {
  readonly sequence: number;
  /** Tag of its manifest, hex. */
  readonly tag: string;
  /** Absent: it was a point when it was remembered. */
  readonly state?: 'point' | 'void' | undefined;
}

export interface ChainFact extends ChainIdentity {
  readonly id: string;
  readonly blockBytes: number;
}

export interface PointFact {
  readonly chain: ChainFact;
  readonly point: RestorePoint;
  readonly manifest: PointManifest;
  /** What was recorded since it was committed; null: nothing, or nothing that can be read. */
  readonly state: PointState | null;
  /** The manifest's bytes, as a row keeps them. */
  readonly bytes: Buffer;
  readonly tag: string;
  readonly lastModified: Date;
}

export interface RemovedFact {
  readonly chain: ChainFact;
  readonly sequence: number;
  readonly reason: 'abandoned' | 'removed';
  readonly voidedAt: string;
}

/** What a chain comes to, after its points. */
export interface ChainEndFact {
  readonly chain: ChainFact;
  /** Null: nothing is decided yet. Never below the remembered one, unless that was accepted as lost. */
  readonly head: ChainHead | null;
  /** The newest point: what the next backup is made from. Null: the next one is a full. */
  readonly newest: number | null;
  /** By the disk's `uniqueId`: the snapshot that the newest point names, from which the next backup lists changes. */
  readonly bases: Readonly<Record<string, { readonly snapshotId: string; readonly familyId: string }>>;
  /** Every disk number that was ever given in the chain. */
  readonly diskNumbers: readonly { readonly uniqueId: string; readonly number: number }[];
  /** Numbers of the points that are there, ascending: a row of any other number is stale, unless it is in `damaged`. */
  readonly points: readonly number[];
  /** Decided numbers whose manifest could not be read: what is known of them stays. */
  readonly damaged: readonly number[];
  /** Claimed and not decided: of sessions under way, or to be ended by the sweep. */
  readonly open: readonly number[];
}

/** The chains of one machine, oldest first; the last one is what its next backup goes on with. */
export interface MachineFact {
  readonly machine: ChainIdentity['machine'];
  readonly chains: readonly string[];
}

/**
 * Where a rescan writes what it finds: the catalog, or a list for people. Facts come in this order: `repository`; for each
 * chain `chain`, its `point`s and `removed` numbers by number, `chainEnd`; then `machine`s; then `lost` chains.
 *
 * Contract: each call is an upsert and may come again, also after a rescan that died half-way. A chain's head is written
 * with `chainEnd` and not before, so that a rescan that died compares with the old one when it is repeated. Nobody else may
 * write the chain meanwhile: hold its lock, or a point that was removed after it was read comes back as a row.
 */
export interface CatalogWriter {
  repository(fact: RememberedRepository): Promise<void>;
  chain(fact: ChainFact): Promise<void>;
  point(fact: PointFact): Promise<void>;
  removed(fact: RemovedFact): Promise<void>;
  chainEnd(fact: ChainEndFact): Promise<void>;
  machine(fact: MachineFact): Promise<void>;
  /** A remembered chain of which nothing is left, accepted as lost. */
  lost(chain: string): Promise<void>;
}
