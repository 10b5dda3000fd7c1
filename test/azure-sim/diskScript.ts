/** A reproducible stream of disk operations, for a writer process that is killed and for the model that says what it had done. */
import type { DiskStore } from '../../local/azure/disks/index.ts';
import type { DiskModel } from './disksModel.ts';

export const SCRIPT_DISK_BYTES = 512 * 1024;

export type ScriptStep =
  | { do: 'write'; offset: number; bytes: Buffer }
  | { do: 'clear'; offset: number; length: number }
  | { do: 'snapshot'; id: string }
  | { do: 'delete'; id: string };

/** Endless. Steps concern the disk `disk` and its snapshots. */
export function* diskScript(seed: number): Generator<ScriptStep> {
  let state = seed >>> 0;
  const random = (below: number) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  const snapshots: string[] = [];
  const sectors = SCRIPT_DISK_BYTES / 512;
  for (let number = 0; ; number += 1) {
    const choice = random(20);
    const offset = random(sectors) * 512;
    const length = Math.min((1 + random(40)) * 512, SCRIPT_DISK_BYTES - offset);
    if (choice === 0) {
      snapshots.push(`snapshot${number}`);
      yield { do: 'snapshot', id: `snapshot${number}` };
    } else if (choice === 1 && snapshots.length > 2) {
      const [id] = snapshots.splice(random(snapshots.length), 1);
      yield { do: 'delete', id: id as string };
    } else if (choice < 6) yield { do: 'clear', offset, length };
    else yield { do: 'write', offset, bytes: Buffer.alloc(length, 1 + random(255)) };
  }
}

export async function play(store: DiskStore, step: ScriptStep): Promise<void> {
  if (step.do === 'write') await store.write('disk', step.offset, step.bytes);
  else if (step.do === 'clear') await store.clear('disk', step.offset, step.length);
  else if (step.do === 'snapshot') await store.snapshot('disk', step.id);
  else await store.delete(step.id);
}

export function playModel(model: DiskModel, step: ScriptStep): void {
  if (step.do === 'write') model.write('disk', step.offset, step.bytes);
  else if (step.do === 'clear') model.clear('disk', step.offset, step.length);
  else if (step.do === 'snapshot') model.copy('snapshot', 'disk', step.id);
  else model.heads.delete(step.id);
}
