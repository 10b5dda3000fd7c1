import type { SessionTreeAnswer } from '../answers.ts';
import { bytes, duration, paint } from '../output.ts';

interface Shown {
  readonly color: boolean;
  /** Also shards that are done: there may be many. */
  readonly shards: boolean;
}

type Disk = SessionTreeAnswer['disks'][number];
type Shard = Disk['shards'][number];

interface Branch {
  readonly line: string;
  readonly branches: readonly Branch[];
}

/** A session as a tree for people: run, machines, disks, shards; with what each came to, and why. */
export function sessionTree(session: SessionTreeAnswer, shown: Shown): string {
  const lines: string[] = [];
  draw(branchOf(session, shown), '', '', lines);
  return lines.map((line) => `${line.replace(/[\t\r\n]+/g, ' ')}\n`).join('');
}

function draw({ line, branches }: Branch, first: string, rest: string, lines: string[]): void {
  lines.push(first + line);
  branches.forEach((branch, i) => {
    const last = i === branches.length - 1;
    draw(branch, `${rest}${last ? '└─ ' : '├─ '}`, `${rest}${last ? '   ' : '│  '}`, lines);
  });
}

const leaf = (line: string): Branch => ({ line, branches: [] });

function branchOf(session: SessionTreeAnswer, shown: Shown): Branch {
  const { id, kind, status, machineName, policyId, children, moreChildren } = session;
  const lasted = Date.parse(session.endedAt ?? session.touchedAt) - Date.parse(session.startedAt);
  const line = [
    `${kind} ${machineName ?? policyId ?? ''}`.trim(),
    paint(status, shown.color),
    duration(lasted),
    id,
  ].join('  ');
  const more = moreChildren > 0 ? [leaf(`and ${moreChildren} more`)] : [];
  const disks = session.disks.map((disk) => diskBranch(disk, shown));
  return {
    line,
    branches: [...notes(session), ...disks, ...children.map((child) => branchOf(child, shown)), ...more],
  };
}

/** What there is to say of a session itself: error, warnings, phases, waits. */
function notes({ error, warnings, notes: facts, phases, waits, throttling }: SessionTreeAnswer): Branch[] {
  const phase = phases.map((entry) => `${entry.phase} ${duration(entry.seconds * 1000)}`).join(', ');
  const waited = waits.map((wait) => `${wait.kind} ${duration(wait.seconds * 1000)}`);
  if (throttling.calls > 0) waited.push(`throttling ${duration(throttling.seconds * 1000)}`);
  return [
    ...(error ? [leaf(`${error.code}: ${error.message}`)] : []),
    ...warnings.map((warning) => leaf(`warning: ${warning}`)),
    ...facts.map((fact) => leaf(fact)),
    ...(phase === '' ? [] : [leaf(`phases: ${phase}`)]),
    ...(waited.length === 0 ? [] : [leaf(`waited for: ${waited.join(', ')}`)]),
  ];
}

function diskBranch(disk: Disk, { shards: all }: Shown): Branch {
  const { name, number, readReason, readBytes, storedBytes, sizeBytes, shards } = disk;
  const reason = readReason === null ? '' : `  ${readReason}`;
  const listed = shards.filter(({ state, failures }) => all || state !== 'done' || failures.length > 0);
  const hidden = shards.length - listed.length;
  const done = hidden === 0 ? '' : `  (${hidden} ${hidden === 1 ? 'shard' : 'shards'} done)`;
  return {
    line: `disk ${number} ${name}  ${bytes(sizeBytes)}  read ${bytes(readBytes)}  stored ${bytes(storedBytes)}${reason}${done}`,
    branches: listed.map(shardBranch),
  };
}

const shardBranch = ({ id, state, attempt, owner, readBytes, storedBytes, failures }: Shard): Branch => ({
  line: `${id}  ${state}  attempt ${attempt}${owner === null ? '' : ` on ${owner}`}  read ${bytes(readBytes)}  stored ${bytes(storedBytes)}`,
  branches: failures.map(leaf),
});
