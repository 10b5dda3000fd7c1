import { describeFlagRules, describeRetention } from '../../lib/chain/index.ts';
import { describeWhen } from '../../lib/schedule/index.ts';
import { describeScope } from '../../lib/scope/index.ts';
import type { DifferenceAnswer, FindingAnswer, ImportedAnswer, PolicyAnswer } from '../answers.ts';
import { type Column, time } from '../output.ts';

const yesNo = (value: boolean): string => (value ? 'yes' : 'no');
const next = ({ nextSlots }: PolicyAnswer): string | null => nextSlots[0] ?? null;

export const POLICIES: readonly Column<PolicyAnswer>[] = [
  { name: 'POLICY', value: ({ id }) => id },
  { name: 'ENABLED', value: ({ enabled }) => enabled, show: ({ enabled }) => yesNo(enabled) },
  { name: 'PRIORITY', value: ({ priority }) => priority },
  { name: 'WHEN', value: describeWhen },
  { name: 'KEEPS', value: ({ retention }) => describeRetention(retention) },
  { name: 'SCOPE', value: ({ scope }) => describeScope(scope) },
  { name: 'NEXT', value: next, show: (policy) => time(next(policy)) },
];

const placeText = ({ storage }: PolicyAnswer): string =>
  [
    storage.repository,
    ...Object.entries(storage.regions).map(([region, id]) => `${id} for ${region}`),
    ...Object.entries(storage.flags).map(([flag, id]) => `${id} for ${flag}`),
    ...storage.copies.map((id) => `copy in ${id}`),
  ].join(', ');

export const POLICY: readonly Column<PolicyAnswer>[] = [
  ...POLICIES,
  { name: 'SNAPSHOTS', value: ({ snapshots }) => describeFlagRules(snapshots.retention.keep) },
  { name: 'REPOSITORY', value: placeText },
  { name: 'CONSISTENCY', value: ({ consistency }) => consistency.mode },
  { name: 'MOVER', value: ({ mover }) => mover },
  {
    name: 'RETRIES',
    value: ({ retry }) =>
      retry.attempts === 0 ? 'none' : `${retry.attempts}, every ${retry.waitMinutes} min`,
  },
  {
    name: 'CBT',
    value: ({ changedBlocks }) =>
      !changedBlocks.enabled
        ? 'off'
        : changedBlocks.wholeReadEveryDays === null
          ? 'on'
          : `on, whole read every ${changedBlocks.wholeReadEveryDays} days`,
  },
  { name: 'CBT RESET', value: ({ changedBlocks }) => changedBlocks.resetAt },
  { name: 'DESCRIPTION', value: ({ description }) => (description === '' ? null : description) },
];

export const FINDINGS: readonly Column<FindingAnswer & { readonly policy: string }>[] = [
  { name: 'POLICY', value: ({ policy }) => policy },
  { name: 'LEVEL', value: ({ level }) => level },
  { name: 'PATH', value: ({ path }) => path || '/' },
  { name: 'MESSAGE', value: ({ message }) => message },
];

const jsonOf = (value: unknown): string | null => (value === undefined ? null : JSON.stringify(value));

export const DIFFERENCES: readonly Column<DifferenceAnswer>[] = [
  { name: 'PATH', value: ({ path }) => path || '/' },
  { name: 'BEFORE', value: ({ before }) => jsonOf(before) },
  { name: 'AFTER', value: ({ after }) => jsonOf(after) },
];

export const IMPORTED: readonly Column<ImportedAnswer>[] = [
  { name: 'POLICY', value: ({ id }) => id },
  { name: 'ACTION', value: ({ action }) => action },
  { name: 'CHANGES', value: ({ differences }) => differences.map(({ path }) => path).join(' ') || null },
];
