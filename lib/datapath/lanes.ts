import type { Failure } from '../model/index.ts';
import type { BlobStore, ChainKeys, MapId, MapShape, PackId } from '../repository/index.ts';
import type { DiskSink, DiskSource } from './ports.ts';

/**
 * A lane does the heavy part of a job: reads, digests, codec, cipher, writes. A job has one in its own thread, or one in each of
 * several (`laneThreads.ts`). Lanes share nothing: what a lane is to do, and what it did, are messages of plain data.
 */

/** Neighbouring blocks of one page that are read together, and what the parent holds of them. */
export interface Strip {
  readonly kind: 'strip';
  readonly page: number;
  /** Stretches of blocks: place in the page, count. */
  readonly runs: readonly (readonly [first: number, count: number])[];
  /** Places whose blocks the parent holds, ... */
  readonly known: Uint16Array;
  /** ... and their digests, one after the other. */
  readonly digests: Uint8Array;
}

export const ZERO = 0;
/** The block is as in the parent. */
export const SAME = 1;
export const STORED = 2;

/** What became of each block of a strip. */
export interface StripDone {
  readonly kind: 'strip';
  readonly page: number;
  readonly readBytes: number;
  readonly places: Uint16Array;
  /** ZERO, SAME or STORED. */
  readonly outcomes: Uint8Array;
  /** Of stored blocks: number of the pack, ordinal in it. */
  readonly packs: Uint32Array;
  readonly ordinals: Uint32Array;
}

/** A pack was stored. `index`: `PackIndex.encode()`. */
export interface PackStored {
  readonly kind: 'pack';
  readonly number: number;
  readonly length: number;
  readonly index: Uint8Array;
}

export interface PageRestored {
  readonly kind: 'restored';
  readonly page: number;
  readonly writtenBytes: number;
  readonly blocks: number;
}
/** A part of a page was written. */
export interface Written {
  readonly kind: 'written';
  readonly bytes: number;
}

export interface PackToExamine {
  readonly kind: 'pack';
  readonly pack: PackId;
  readonly generation: number;
  readonly name: string;
  /** `PackIndex.encode()`. */
  readonly index: Uint8Array;
}
/** `PackExam`, as plain data. */
export interface PackExamined {
  readonly kind: 'examined';
  readonly name: string;
  readonly problem: Failure | null;
  readonly bad: readonly number[];
  readonly blocks: number;
  readonly bytes: number;
}

/** Services refused so many requests of a lane in a thread, because it asked too much. Seconds are waited for it. */
export interface Refused {
  readonly kind: 'refused';
  readonly calls: number;
  readonly seconds: number;
}

export interface MoveLane extends MapShape {
  readonly kind: 'move';
  readonly id: MapId;
  readonly compare: boolean;
  /** This lane's packs are numbered `firstPack`, `firstPack + packStep`, ... */
  readonly firstPack: PackId['number'];
  readonly packStep: number;
  /** Bytes of reads ahead, and packs in upload, at most. */
  readonly readAhead: number;
  readonly uploads: number;
}

export interface RestoreLane {
  readonly kind: 'restore';
  /** Staging object with the page table. */
  readonly table: string;
  readonly readAhead: number;
  readonly writes: number;
}

export interface ExamineLane {
  readonly kind: 'examine';
}

export type LaneSetup = MoveLane | RestoreLane | ExamineLane;
export type LaneReport = StripDone | PackStored | PageRestored | Written | PackExamined | Refused;
/** A strip to move, the number of a page to restore, or a pack to look into. */
export type LaneWork = Strip | number | PackToExamine;

/** Where a lane gets its work, and tells what it did. */
export interface Feed {
  /** Null: there is no more. */
  next(): Promise<LaneWork | null>;
  report(report: LaneReport): void;
  readonly signal: AbortSignal;
}

/** What a lane touches. */
export interface LanePlaces {
  readonly chain: string;
  readonly blockBytes: number;
  readonly keys: ChainKeys;
  readonly data: BlobStore;
  readonly staging: BlobStore;
  readonly source?: DiskSource | undefined;
  readonly sink?: DiskSink | undefined;
}

/** Lanes in threads of their own. */
export interface Lanes {
  readonly count: number;
  /** Runs one lane to its end; as many as `count` at a time. */
  run(setup: LaneSetup, feed: Feed): Promise<void>;
}
