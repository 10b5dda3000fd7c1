import type { Command } from 'commander';
import { sessionKindSchema, sessionStatusSchema } from '../../lib/model/index.ts';
import {
  type DiskAnswer,
  type SessionAnswer,
  sessionAnswer,
  sessionTreeAnswer,
  startedAnswer,
} from '../answers.ts';
import { type Context, printList, printOne } from '../context.ts';
import { EXIT, exitCodeOfSession } from '../exitCodes.ts';
import { bytes, type Column, duration, formatList, time } from '../output.ts';
import { percentOf } from '../progress.ts';
import { printRemoved } from '../removed.ts';
import { waitSession } from '../waitSession.ts';
import { choice, count } from './options.ts';
import { sessionTree } from './sessionTree.ts';

/** The service gives no more at a time; the rest comes with the next pages. */
const MOST_A_PAGE = 200;

const lasted = (session: SessionAnswer): number =>
  Date.parse(session.endedAt ?? session.touchedAt) - Date.parse(session.startedAt);
const read = (session: SessionAnswer): number => session.disks.reduce((sum, disk) => sum + disk.readBytes, 0);
const stored = (session: SessionAnswer): number =>
  session.disks.reduce((sum, disk) => sum + disk.storedBytes, 0);
const point = (session: SessionAnswer): string | null =>
  session.restorePoint && `${session.restorePoint.chainId}/${session.restorePoint.sequence}`;

const LIST: readonly Column<SessionAnswer>[] = [
  { name: 'SESSION', value: (session) => session.id },
  { name: 'KIND', value: (session) => session.kind },
  { name: 'MACHINE', value: (session) => session.machineName ?? session.policyId },
  { name: 'STATUS', value: (session) => session.status },
  { name: 'PHASE', value: (session) => session.phase },
  { name: '%', value: (session) => session.percent ?? null },
  { name: 'STARTED', value: (session) => session.startedAt, show: (session) => time(session.startedAt) },
  { name: 'TIME', value: lasted, show: (session) => duration(lasted(session)) },
  { name: 'READ', value: read, show: (session) => bytes(read(session)) },
  { name: 'STORED', value: stored, show: (session) => bytes(stored(session)) },
];

const ONE: readonly Column<SessionAnswer>[] = [
  ...LIST,
  { name: 'REASON', value: (session) => session.reason },
  { name: 'RESTORE POINT', value: point },
  { name: 'WAITED FOR', value: waitsOf },
  { name: 'ERROR', value: (session) => session.error && `${session.error.code}: ${session.error.message}` },
  {
    name: 'WARNINGS',
    value: (session) => (session.warnings.length === 0 ? null : session.warnings.join('; ')),
  },
  { name: 'NOTES', value: ({ notes }) => (notes.length === 0 ? null : notes.join(' ')) },
];

const DISKS: readonly Column<DiskAnswer>[] = [
  { name: 'DISK', value: (disk) => disk.number },
  { name: 'NAME', value: (disk) => disk.name },
  { name: '%', value: (disk) => percentOf(disk), show: (disk) => String(Math.floor(percentOf(disk) ?? 0)) },
  { name: 'SIZE', value: (disk) => disk.sizeBytes, show: (disk) => bytes(disk.sizeBytes) },
  { name: 'READ', value: (disk) => disk.readBytes, show: (disk) => bytes(disk.readBytes) },
  { name: 'STORED', value: (disk) => disk.storedBytes, show: (disk) => bytes(disk.storedBytes) },
  { name: 'REASON', value: (disk) => disk.readReason },
];

type PhaseAnswer = SessionAnswer['phases'][number];
const PHASES: readonly Column<PhaseAnswer>[] = [
  { name: 'PHASE', value: ({ phase }) => phase },
  { name: 'FROM', value: ({ startedAt }) => startedAt, show: ({ startedAt }) => time(startedAt) },
  { name: 'TO', value: ({ endedAt }) => endedAt, show: ({ endedAt }) => time(endedAt) },
  { name: 'TIME', value: ({ seconds }) => seconds, show: ({ seconds }) => duration(seconds * 1000) },
];

/** What a session waited for, in one line; null when it did not. */
export function waitsOf({ waits, throttling }: Pick<SessionAnswer, 'waits' | 'throttling'>): string | null {
  const parts = waits.map(({ kind, seconds }) => `${kind} ${duration(seconds * 1000)}`);
  if (throttling.calls > 0)
    parts.push(`throttling ${duration(throttling.seconds * 1000)} (${throttling.calls} refusals)`);
  return parts.length === 0 ? null : parts.join(', ');
}

/** A session with its phases and disks; for a restore also the disks it made. */
export function printSession(context: Context, session: SessionAnswer): void {
  printOne(context, ONE, session);
  if (context.format !== 'table') return;
  if (session.phases.length > 0) {
    context.stdout.write(`\n${formatList('table', PHASES, session.phases, context.color)}`);
  }
  if (session.disks.length > 0) {
    context.stdout.write(`\n${formatList('table', DISKS, session.disks, context.color)}`);
  }
  for (const created of session.createdDisks ?? []) {
    context.stdout.write(`\nDisk ${created.number} restored to ${created.diskId}\n`);
  }
  if (session.retention) printRemoved(context, session.retention);
}

/** After a start: with `wait` follows the session and takes its exit code, else prints its id. */
export async function startedSession(
  context: Context,
  started: { id: string },
  wait: boolean,
): Promise<void> {
  if (wait) {
    const session = await waitSession(context, started.id);
    context.exitCode = exitCodeOfSession(session.status);
    return printSession(context, session);
  }
  printOne(context, [{ name: 'SESSION', value: (row: { id: string }) => row.id }], started);
  context.stderr.write(`To follow it: holdfast session show ${started.id} --wait\n`);
}

interface ListOptions {
  machine?: string;
  policy?: string;
  status?: string;
  kind?: string;
  from?: string;
  to?: string;
  limit: number;
}

export function sessionCommand(parent: Command, context: Context): void {
  const session = parent.command('session').description('what Holdfast does and did');

  session
    .command('list')
    .description('list sessions, newest first')
    .option('--machine <machine>', 'only of this machine')
    .addOption(choice('--status <status>', 'only with this status', sessionStatusSchema.options))
    .addOption(choice('--kind <kind>', 'only of this kind', sessionKindSchema.options))
    .option('--policy <policy>', 'only of this policy')
    .option('--from <time>', 'only begun at this time (ISO 8601) or later')
    .option('--to <time>', 'only begun before this time')
    .option('--limit <n>', 'at most so many', count, 50)
    .action(async (options: ListOptions) => {
      const { limit, ...filter } = options;
      const query = { ...filter, maxpagesize: String(Math.min(limit, MOST_A_PAGE)) };
      printList(
        context,
        LIST,
        await context.api().list('sessions', sessionAnswer, query, limit),
        'No such sessions.',
      );
    });

  session
    .command('show')
    .description('show a session and its disks')
    .argument('<session>', 'id of the session')
    .option('--wait', 'follow it to its end, and take its exit code')
    .action(async (id: string, options: { wait?: boolean }) => {
      if (options.wait) return startedSession(context, { id }, true);
      printSession(context, await context.api().get(`sessions/${encodeURIComponent(id)}`, sessionAnswer));
    });

  session
    .command('tree')
    .description('show what a session consists of: machines, disks, shards, each with its phases and reasons')
    .argument('<session>', 'id of the session')
    .option('--shards', 'also shards that are done')
    .action(async (id: string, options: { shards?: boolean }) => {
      const path = `sessions/${encodeURIComponent(id)}`;
      const tree = await context.api().get(path, sessionTreeAnswer, { expand: 'tree' });
      if (context.format === 'table')
        context.stdout.write(sessionTree(tree, { color: context.color, shards: options.shards === true }));
      else printOne(context, [{ name: 'SESSION', value: (row: { id: string }) => row.id }], tree);
    });

  session
    .command('cancel')
    .description('ask a session to stop; it ends at its next step')
    .argument('<session>', 'id of the session')
    .option('--wait', 'follow it to its end')
    .action(async (id: string, options: { wait?: boolean }) => {
      await context.api().post(`sessions/${encodeURIComponent(id)}/cancel`, {}, startedAnswer);
      if (!options.wait) {
        context.stderr.write(`Asked to stop. To follow it: holdfast session show ${id} --wait\n`);
        return;
      }
      const ended = await waitSession(context, id);
      context.exitCode = ended.status === 'cancelled' ? EXIT.ok : exitCodeOfSession(ended.status);
      printSession(context, ended);
    });
}
