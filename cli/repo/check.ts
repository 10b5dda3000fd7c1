import {
  type CheckDepth,
  type CheckResult,
  checkRepository,
  type Finding,
} from '../../lib/repository/index.ts';
import { type Context, printList } from '../context.ts';
import { EXIT } from '../exitCodes.ts';
import type { Column } from '../output.ts';
import { ByteMeter } from './byteMeter.ts';
import { ExamineThreads } from './examiner.ts';
import { findContainers } from './location.ts';
import { findUnlock, type RepositoryOptions } from './open.ts';
import { ReadingStore } from './readingStore.ts';
import type { RepoSurroundings } from './surroundings.ts';

const FINDINGS: readonly Column<Finding>[] = [
  { name: 'OBJECT', value: ({ object }) => object },
  { name: 'RESTORE POINTS', value: ({ points }) => points.join(' ') || null },
  { name: 'PROBLEM', value: ({ problem }) => problem },
];

const summary = (
  { chains, points, packs, blocks, findings, garbage }: CheckResult,
  depth: CheckDepth,
): string =>
  [
    `${chains} chains, ${points} restore points, ${packs} packs${depth === 'content' ? `, ${blocks} blocks` : ''} checked`,
    garbage.length === 0 ? '' : `${garbage.length} objects that no restore point needs (harmless)`,
    findings.length === 0
      ? 'no damage'
      : `${findings.length} damaged objects, ${new Set(findings.flatMap(({ points }) => points)).size} restore points affected`,
  ]
    .filter(Boolean)
    .join('; ');

/** Checks the repository as it lies there; prints what is damaged, with the restore points that need it. */
export async function check(
  options: RepositoryOptions,
  depth: CheckDepth,
  context: Context,
  around: RepoSurroundings,
): Promise<void> {
  const found = await findContainers(options, around);
  const opening = { meta: new ReadingStore(found.meta), data: new ReadingStore(found.data) };
  const unlock = await findUnlock(opening, options, context, around);
  const meter = new ByteMeter(context.stderr, context.clock, 'read', null);
  const onRead = (count: number) => meter.add(count);
  const threads = new ExamineThreads(found.dataPlace, context.signal, onRead);
  let result: CheckResult;
  try {
    result = await checkRepository({
      meta: new ReadingStore(found.meta, onRead),
      data: new ReadingStore(found.data, onRead),
      unlock,
      depth,
      examiner: threads.open,
      signal: context.signal,
    });
  } finally {
    await threads.close();
  }
  meter.end();
  context.stderr.write(`${summary(result, depth)}\n`);
  if (context.format === 'json') context.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
  else if (result.findings.length > 0) printList(context, FINDINGS, result.findings, '');
  if (result.findings.length > 0) context.exitCode = EXIT.partly;
}
