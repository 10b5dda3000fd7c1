import { DatabaseSync } from 'node:sqlite';
import { z } from 'zod';
import { HoldfastError } from '../lib/model/index.ts';
import type { StateFolder } from './stateFolder.ts';

/** Locks that this process holds. Without a reference the database would be collected as garbage, and its lock given up. */
const held = new Set<DatabaseSync>();

const ownerSchema = z.object({ pid: z.number().int() });

/**
 * Makes this process the only local run on a state folder, until it ends or calls what is returned. Holds an exclusive
 * transaction on a small database, which the operating system gives back however the process ends; the file with the pid is
 * for the message only. Throws `conflict` when another run is alive.
 */
export function takeRunLock(state: StateFolder): () => void {
  const database = new DatabaseSync(state.file('run.lock'), { timeout: 0 });
  try {
    database.exec('begin exclusive');
  } catch (error) {
    database.close();
    const owner = ownerSchema.safeParse(state.read('owner.json'));
    const who = owner.success ? ` (process ${owner.data.pid})` : '';
    throw new HoldfastError(
      'conflict',
      `Holdfast already runs on ${state.path}${who}. Stop it there with Ctrl-C${owner.success ? ` or "kill ${owner.data.pid}"` : ''}, or set HOLDFAST_STATE to another folder.`,
      { cause: error },
    );
  }
  held.add(database);
  state.write('owner.json', { pid: process.pid });
  return () => {
    held.delete(database);
    state.remove('owner.json');
    database.close();
  };
}
