import type { Installation } from '../../installation/index.ts';
import { assignDiskNumbers } from '../../repository/index.ts';
import { lookAtMachine } from '../backup/open.ts';
import { enterStep } from '../live.ts';
import { type PreparedSnapshots, readState, updateState } from '../state.ts';
import { prepareSnapshots } from './prepare.ts';
import { showDisks } from './show.ts';

/**
 * Opens a session that makes snapshots alone: it takes no chain, and needs no repository, so a backup of the same machine may
 * run beside it. May run again: it then finds what it has prepared.
 */
export async function openSnapshots(
  installation: Installation,
  sessionId: string,
): Promise<PreparedSnapshots> {
  await enterStep(installation, sessionId, 'starting');
  const { prepared } = await readState(installation, sessionId, 'backup');
  return prepared ?? prepareAnew(installation, sessionId);
}

/** Looks at the machine anew, after a set of snapshots that did not fit it any more. */
export async function prepareAnew(installation: Installation, sessionId: string): Promise<PreparedSnapshots> {
  const session = await enterStep(installation, sessionId);
  const state = await readState(installation, sessionId, 'backup');
  const configuration = await lookAtMachine(installation, state);
  const numbers = assignDiskNumbers(
    null,
    configuration.disks.map(({ uniqueId }) => uniqueId),
  );
  const prepared = await prepareSnapshots(installation, session, state.request, {
    configuration,
    numbers,
    chain: null,
  });
  await updateState(installation, sessionId, 'backup', (current) => ({ ...current, prepared }));
  await showDisks(installation, sessionId, prepared);
  return prepared;
}
