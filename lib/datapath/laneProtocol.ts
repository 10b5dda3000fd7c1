import type { Failure } from '../model/index.ts';
import type { LaneReport, LaneSetup, LaneWork } from './lanes.ts';

/** `workerData` of a lane's thread: the program's entry looks for it. */
export const LANE_THREAD = 'lane';

/** To a lane's thread. `run` counts what the thread was told to run: an answer to an earlier one is late and void. */
export type ToLane =
  | {
      readonly kind: 'run';
      readonly run: number;
      readonly setup: LaneSetup;
      /** What the program's own code opens the places with: plain data, with secrets in it. */
      readonly access: unknown;
    }
  | { readonly kind: 'work'; readonly run: number; readonly work: LaneWork | null }
  /** The answer to `renew`, or fresh access that came unasked. */
  | { readonly kind: 'access'; readonly run: number; readonly access: unknown; readonly failure?: Failure }
  | { readonly kind: 'stop'; readonly run: number };

export type FromLane =
  | { readonly kind: 'next'; readonly run: number }
  | { readonly kind: 'report'; readonly run: number; readonly report: LaneReport }
  /** Access was refused. */
  | { readonly kind: 'renew'; readonly run: number }
  | { readonly kind: 'ended'; readonly run: number; readonly failure: Failure | null };
