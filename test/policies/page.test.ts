import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { policySchema } from '../../lib/model/index.ts';
import { readPolicy } from '../../lib/sessions/policies/findings.ts';
import { checkPolicy } from '../../lib/sessions/policies/rules.ts';

/** What docs/policies.md shows is what the product takes. */
const page = readFileSync(new URL('../../docs/policies.md', import.meta.url), 'utf8');
const blocks = [...page.matchAll(/```yaml\n([\s\S]*?)```/g)].map(([, text = '']) => parse(text) as object);
const [short, complete, sla] = blocks;
const findings = (document: unknown) => {
  const { policy, findings: found } = readPolicy(document);
  return [...found, ...(policy ? checkPolicy(policy, ['default'], new Date('2026-11-22T00:00:00Z')) : [])];
};

test('every example is a policy with nothing against it', () => {
  expect(blocks.length).toBe(3);
  expect(findings(short)).toEqual([]);
  expect(findings(complete)).toEqual([]);
  expect(
    findings({
      id: 'a',
      scope: { all: true },
      retention: { keep: { daily: { points: 9 }, weekly: { weeks: 2 } } },
      ...sla,
    }),
  ).toEqual([]);
});

test('the complete example shows every key of a policy, but for the SLA', () => {
  const usual = policySchema.parse({ id: 'a', scope: {} });
  const keys = (document: object) => Object.keys(document).toSorted();
  expect(keys(complete ?? {})).toEqual(keys(usual).filter((key) => key !== 'schemaVersion' && key !== 'sla'));
  for (const part of ['scope', 'retention', 'snapshots', 'storage', 'retry', 'consistency'] as const)
    expect(keys((complete as typeof usual)[part]), part).toEqual(keys(usual[part]));
  expect(keys((complete as typeof usual).scope.exclude)).toEqual(keys(usual.scope.exclude));
});
