import { type Session, secondsOf, type WaitKind } from '../lib/model/index.ts';
import type { CsvColumn } from './csv.ts';

const sum = (session: Session, pick: (disk: Session['disks'][number]) => number): number =>
  session.disks.reduce((total, disk) => total + pick(disk), 0);

/** A session that runs is measured up to its last sign of life. */
const measured = ({ endedAt, touchedAt }: Session): Date => new Date(endedAt ?? touchedAt);

const waited = (kind: WaitKind) => (session: Session) => {
  const wait = session.waits.find((entry) => entry.kind === kind);
  return wait ? Math.round(secondsOf(wait, measured(session))) : 0;
};

/** What an export of sessions has: a column a fact, bytes and seconds as numbers, times in ISO 8601. */
export const SESSION_COLUMNS: readonly CsvColumn<Session>[] = [
  { name: 'session', value: ({ id }) => id },
  { name: 'parent', value: ({ parentId }) => parentId },
  { name: 'kind', value: ({ kind }) => kind },
  { name: 'policy', value: ({ policyId }) => policyId },
  { name: 'machine', value: ({ machineName }) => machineName },
  { name: 'machineId', value: ({ machineId }) => machineId },
  { name: 'status', value: ({ status }) => status },
  { name: 'reason', value: ({ reason }) => reason },
  { name: 'startedAt', value: ({ startedAt }) => startedAt },
  { name: 'endedAt', value: ({ endedAt }) => endedAt },
  {
    name: 'seconds',
    value: (session) => (measured(session).getTime() - Date.parse(session.startedAt)) / 1000,
  },
  { name: 'disks', value: ({ disks }) => disks.length },
  { name: 'readBytes', value: (session) => sum(session, ({ readBytes }) => readBytes) },
  { name: 'storedBytes', value: (session) => sum(session, ({ storedBytes }) => storedBytes) },
  {
    name: 'readReasons',
    value: ({ disks }) =>
      [...new Set(disks.flatMap(({ readReason }) => (readReason === null ? [] : [readReason])))].join(' '),
  },
  {
    name: 'restorePoint',
    value: ({ restorePoint }) => restorePoint && `${restorePoint.chainId}/${restorePoint.sequence}`,
  },
  { name: 'waitedForWorkerSeconds', value: waited('worker') },
  { name: 'waitedForLaunchSeconds', value: waited('launch') },
  { name: 'waitedForCapacitySeconds', value: waited('capacity') },
  { name: 'waitedForAccessSeconds', value: waited('access') },
  { name: 'waitedForRepositorySeconds', value: waited('repository') },
  {
    name: 'throttledCalls',
    value: ({ throttling }) => throttling.reduce((all, { calls }) => all + calls, 0),
  },
  { name: 'errorCode', value: ({ error }) => error && error.code },
  { name: 'error', value: ({ error }) => error && error.message },
  { name: 'warnings', value: ({ warnings }) => warnings.join('; ') },
  { name: 'notes', value: ({ notes }) => notes.join(' ') },
];
