import type { RemovedAnswer, SessionAnswer } from './answers.ts';
import type { Context } from './context.ts';
import { type Column, formatList, time } from './output.ts';

const COLUMNS: readonly Column<RemovedAnswer>[] = [
  { name: 'REMOVED', value: ({ what }) => (what === 'restorePoint' ? 'restore point' : what) },
  { name: 'NAME', value: ({ name }) => (name.includes('/providers/') ? name.replace(/^.*\//, '') : name) },
  { name: 'MACHINE', value: ({ machineName }) => machineName },
  { name: 'TAKEN', value: ({ takenAt }) => takenAt, show: ({ takenAt }) => time(takenAt) },
  { name: 'FLAGS', value: ({ flags }) => flags || null },
  { name: 'WHY', value: ({ why }) => why },
];

const counted = (count: number, what: string): string => `${count} ${what}${count === 1 ? '' : 's'}`;

/** What a retention session removed, and why. */
export function printRemoved(context: Context, done: NonNullable<SessionAnswer['retention']>): void {
  const { points, snapshots, changed, removed } = done;
  context.stdout.write(
    `\n${counted(points, 'restore point')} and ${counted(snapshots, 'snapshot')} removed, ${counted(changed, 'restore point')} with other flags or rules.\n`,
  );
  if (removed.length === 0) return;
  context.stdout.write(`\n${formatList('table', COLUMNS, removed, context.color)}`);
  const more = points + snapshots - removed.length;
  if (more > 0) context.stdout.write(`and ${more} more\n`);
}
