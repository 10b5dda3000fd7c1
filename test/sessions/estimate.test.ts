import { expect, it } from 'vitest';
import { assumptionsSchema } from '../../lib/cost/index.ts';
import type { InstalledRepository } from '../../lib/installation/installation.ts';
import { policySchema } from '../../lib/model/index.ts';
import { estimatePolicy } from '../../lib/sessions/index.ts';
import { VirtualLab } from './virtual/lab.ts';

it('an estimate goes by the repositories of the policy and where they are: traffic between regions costs, and is warned of', async () => {
  const lab = await VirtualLab.start('2026-03-20T12:00:00Z');
  const { machine } = lab.cloud.addMachine('web', 'westeurope', [2 ** 36], {});
  const places = [
    { id: 'near', region: 'West Europe' },
    { id: 'far', region: 'eastus' },
  ] as InstalledRepository['place'][];
  const installation = { ...lab.installation, repositoryPlaces: () => Promise.resolve(places) };
  const estimate = (storage: object) =>
    estimatePolicy(
      installation,
      policySchema.parse({
        id: 'p',
        scope: { machines: [machine.armId] },
        storage,
        calendar: { schedules: [{ every: 'day', at: ['02:00'] }] },
        retention: { keep: { daily: { points: 7 } } },
      }),
      { assumptions: assumptionsSchema.parse({}) },
    );
  const warning = 'web is in westeurope and repository far in eastus: traffic between regions is paid for.';
  const near = await estimate({ repository: 'near' });
  expect([near.machines.length, near.monthly.traffic, near.warnings]).toEqual([1, 0, []]);
  const far = await estimate({ repository: 'near', regions: { westeurope: 'far' } });
  expect(far.warnings).toEqual([warning]);
  expect(far.monthly.traffic).toBeGreaterThan(0);
  expect(far.once.traffic).toBeGreaterThan(0);
  const copied = await estimate({ repository: 'near', copies: ['far'] });
  expect(copied.warnings).toEqual([warning]);
  expect(copied.monthly.repository).toBeGreaterThan(near.monthly.repository);
});
