/**
 * What orchestrators may know of activities: their names, inputs and results. Inputs and results are small (under 16 KB):
 * references and counts; everything else is in tables and staging. Every activity may run twice, and returns its failure
 * as data, since a failure thrown inside a fan-out drifts on the real host.
 */
import type { Consistency, Failure, ReadReason } from '../lib/model/index.ts';

/** Every activity of a session names it, and finds the rest in the catalog. */
export interface OfSession {
  readonly sessionId: string;
}

export type Outcome<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly failure: Failure };

/** The answer of an activity that looks whether something has happened. */
export type Look<T> =
  /** `until`: nothing will happen before. */
  | { readonly done: false; readonly what: string; readonly until?: string }
  | { readonly done: true; readonly value: T };

export interface OpenedSession {
  readonly disks: readonly number[];
  /** Decided from the policy: who moves the data. With `auto` the plan decides. */
  readonly mover: 'worker' | 'inline' | 'auto';
  /** `snapshot`: the session ends with its snapshots. */
  readonly makes: 'snapshot' | 'backup';
  /** Scripts run in the guest around the snapshots. */
  readonly guest?: boolean;
  /** A VM restore point is tried in the place of snapshots. */
  readonly moment?: boolean;
}

export interface SnapshotSet {
  readonly consistency: Consistency;
  /** Why this set should be taken once more; null when it is good. */
  readonly retake: string | null;
}

export interface DispatchedJobs {
  /** Who does them: a worker VM, or the app itself in activities. */
  readonly by: 'worker' | 'app';
}

export interface CommittedPoint {
  readonly chainId: string;
  readonly sequence: number;
  readonly readReasons: readonly ReadReason[];
}

type GuestScript = OfSession & { readonly set: number; readonly stage: 'before' | 'after' };

type Nothing = null;

/** Name -> [input, result]. */
export interface Activities {
  openSession: [OfSession, OpenedSession];
  snapshotDisk: [OfSession & { readonly set: number; readonly disk: number }, Nothing];
  startGuestScript: [GuestScript, Nothing];
  watchGuestScript: [GuestScript, Look<Nothing>];
  /** Done when the moment of each snapshot of the set is taken. */
  watchTaken: [OfSession & { readonly set: number }, Look<Nothing>];
  startRestorePoint: [OfSession & { readonly set: number }, Nothing];
  watchRestorePoint: [OfSession & { readonly set: number }, Look<{ readonly taken: boolean }>];
  watchSnapshots: [OfSession & { readonly set: number; readonly final: boolean }, Look<SnapshotSet>];
  /** Removes a set that came out wrong and looks at the machine anew. */
  discardSnapshots: [OfSession & { readonly set: number }, { readonly disks: readonly number[] }];
  launchWorker: [OfSession, Nothing];
  watchWorker: [OfSession, Look<Nothing>];
  readChanges: [OfSession, DispatchedJobs];
  dispatchShards: [OfSession, DispatchedJobs];
  /** Does one job of the session itself. Done when none is left to take. */
  uploadShard: [OfSession, Look<Nothing>];
  collectShards: [OfSession, Look<Nothing>];
  commitRestorePoint: [OfSession, CommittedPoint];
  startRetention: [OfSession, Nothing];
  removeExpired: [OfSession, Look<{ readonly points: number; readonly snapshots: number }>];
  archivePoint: [OfSession, Nothing];
  openRestore: [
    OfSession,
    { readonly disks: readonly number[]; readonly mover: 'worker' | 'inline' | 'auto' },
  ];
  createDisk: [OfSession & { readonly disk: number }, Nothing];
  watchDisks: [OfSession, Look<Nothing>];
  restoreShards: [OfSession, DispatchedJobs];
  finishDisk: [OfSession & { readonly disk: number }, Nothing];
  verifySome: [OfSession, Look<null>];
  collectSome: [OfSession, Look<null>];
  rescanAll: [OfSession, Nothing];
  /** Removes some of what a person wants gone. */
  removeAsked: [OfSession, Look<null>];
  tendSome: [OfSession, Look<null>];
  openPolicyRun: [OfSession, { readonly machines: number }];
  backUpMachines: [OfSession, Look<Nothing>];
  releaseGrants: [OfSession, Nothing];
  deallocateWorker: [OfSession, Nothing];
  closeSession: [OfSession & { readonly failure: Failure | null }, Nothing];
}

export type ActivityName = keyof Activities;
export type ActivityInput<N extends ActivityName> = Activities[N][0];
export type ActivityResult<N extends ActivityName> = Activities[N][1];

/** Activities whose result is a `Look`: what `awaitCondition` may ask again and again. */
export type LookName = {
  [N in ActivityName]: ActivityResult<N> extends Look<unknown> ? N : never;
}[ActivityName];
export type Seen<N extends LookName> = ActivityResult<N> extends Look<infer T> ? T : never;
