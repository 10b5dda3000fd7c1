import type { Installation } from '../../installation/index.ts';
import type { PreparedSnapshots } from '../state.ts';

/** Shows the disks in the session's row, before anything is known of what will be read of them. */
export async function showDisks(
  { catalog }: Installation,
  sessionId: string,
  { disks }: Pick<PreparedSnapshots, 'disks'>,
): Promise<void> {
  await catalog.sessions.update(sessionId, (session) => ({
    ...session,
    disks: disks.map(({ number, disk }) => ({
      name: disk.name,
      number,
      sizeBytes: disk.sizeBytes,
      plannedBytes: null,
      doneBytes: 0,
      readBytes: 0,
      storedBytes: 0,
      readReason: null,
    })),
  }));
}
