/** What the main thread and the heartbeat's thread say to each other. */
import type { JobSecrets } from '../lib/model/index.ts';
import type { AttemptOf } from './appClient.ts';
import type { WorkerSettings } from './settings.ts';

/** The same file is both threads' entry, so that one bundle is all: this tells them apart. */
export const HEARTBEAT_THREAD = 'holdfast-heartbeat';

export interface HeartbeatData {
  readonly role: typeof HEARTBEAT_THREAD;
  readonly settings: WorkerSettings;
  /** Progress as four 64-bit integers: bytes done, read, stored; how often it was reported. Shared, so that it is seen while the main thread is blocked. */
  readonly progress: SharedArrayBuffer;
}

export const PROGRESS_BYTES = 4 * 8;

/**
 * Why a job must stop. `gone`: the attempt is somebody else's. `cancel`: the session was cancelled. `stalled`: no progress for too long.
 * `lost`: the app could not be told in time, so the claim has run out. `refused`: the app does not take what it is told.
 */
export type StopReason = 'gone' | 'cancel' | 'stalled' | 'lost' | 'refused';

export type ToHeartbeat =
  | { readonly kind: 'begin'; readonly attempt: AttemptOf; readonly expiresAt: string }
  | { readonly kind: 'checkpoint'; readonly number: number; readonly state: unknown }
  | { readonly kind: 'refresh'; readonly number: number }
  | { readonly kind: 'end' };

export type FromHeartbeat =
  /** Everything up to checkpoint `number` is kept by the app. */
  | { readonly kind: 'saved'; readonly number: number }
  /** Fresh secrets, or null when the app had none to give; answers every `refresh` up to `number`. */
  | { readonly kind: 'secrets'; readonly number: number; readonly secrets: JobSecrets | null }
  | { readonly kind: 'stop'; readonly reason: StopReason; readonly message: string };

/** Messages carry the attempt they are about: one that comes late is for nobody. */
export interface About<M> {
  readonly job: number;
  readonly message: M;
}
