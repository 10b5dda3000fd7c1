import type { WorkerRow } from '../catalog/index.ts';
import { JOB_SCHEMA_VERSION } from '../model/index.ts';

/** What a worker that asks for work is to do: end (`drain`), ask again later (`idle`), or work for the session. */
export type Admission =
  | { readonly kind: 'drain' | 'idle' }
  | { readonly kind: 'work'; readonly sessionId: string };

/**
 * A worker of another protocol version, or one that is being released, is drained. It does not count as having reported: a VM that
 * runs an old package becomes overdue and is replaced by one that boots the new one.
 */
export function admission(worker: WorkerRow, schemaVersion: number): Admission {
  if (schemaVersion !== JOB_SCHEMA_VERSION || worker.state === 'releasing') return { kind: 'drain' };
  if (worker.state === 'free' || worker.holder === null) return { kind: 'idle' };
  return { kind: 'work', sessionId: worker.holder };
}
