import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DEFAULT_PRICES, type PolicyEstimate } from '../../lib/cost/index.ts';
import { type Machine, policySchema } from '../../lib/model/index.ts';
import { Lab } from '../sessions/lab.ts';
import { openApi } from './api.ts';

describe('estimates over the API', () => {
  let lab: Lab;
  let machine: Machine;
  let call: Awaited<ReturnType<typeof openApi>>;
  beforeAll(async () => {
    lab = await Lab.start();
    machine = await lab.machine('priced');
    await lab.installation.catalog.policies.put({
      ...policySchema.parse({
        id: 'nightly',
        scope: { all: true },
        calendar: { timeZone: 'UTC', schedules: [{ every: 'day', at: ['02:00'] }] },
        retention: { keep: { daily: { points: 7 } } },
      }),
    });
    call = await openApi(lab, ['estimates']);
  });
  afterAll(() => lab.stop());

  const estimate = async (body?: object): Promise<PolicyEstimate> => {
    const { status, body: answer } = await call('POST policies/nightly/estimate', body);
    expect([status, answer]).toEqual([200, expect.anything()]);
    return answer as PolicyEstimate;
  };

  it('of a machine without restore points from its disks, then from what was measured', async () => {
    const before = await estimate();
    expect(before.machines).toMatchObject([{ machine: 'priced', basis: 'assumed' }]);
    expect(before).toMatchObject({
      currency: 'USD',
      prices: { name: 'shipped estimate' },
      assumptions: { months: 12, usedPercent: 50 },
    });
    expect(before.monthly.total).toBeGreaterThan(0);
    await lab.backUp(machine);
    const after = await estimate();
    expect(after.machines).toMatchObject([{ machine: 'priced', basis: 'partly' }]);
    expect(after.machines[0]?.usedBytes).toBeLessThan(before.machines[0]?.usedBytes ?? 0);
  });

  it('of one machine, under other assumptions, of a draft', async () => {
    const policy = { scope: {}, calendar: { schedules: [{ every: 'day', at: ['02:00'] }] } };
    expect((await estimate({ policy })).machines).toEqual([]);
    const one = await estimate({ policy, machine: 'PRICED', assumptions: { months: 1 } });
    expect([one.machines.length, one.assumptions.months]).toEqual([1, 1]);
    const refused = await Promise.all([
      call('POST policies/nightly/estimate', { machine: 'nobody' }),
      call('POST policies/nobody/estimate'),
      call('POST policies/nightly/estimate', { policy: { retention: 1 } }),
      call('POST policies/nightly/estimate', { assumptions: { months: 0 } }),
    ]);
    expect(refused.map(({ status }) => status)).toEqual([404, 404, 400, 400]);
  });

  it('the operator puts another table in the place of the shipped one, and takes it back', async () => {
    expect((await call('GET prices')).body).toEqual(DEFAULT_PRICES);
    const own = { ...DEFAULT_PRICES, name: 'ours', currency: 'EUR', asOf: '2026-11-01' };
    expect((await call('PUT prices', own)).body).toEqual(own);
    expect(await estimate()).toMatchObject({ currency: 'EUR', prices: { name: 'ours', asOf: '2026-11-01' } });
    expect((await estimate({ prices: { ...own, currency: 'CHF' } })).currency).toBe('CHF');
    expect((await call('PUT prices', { ...own, regions: {} })).status).toBe(400);
    expect((await call('DELETE prices')).status).toBe(204);
    expect((await estimate()).currency).toBe('USD');
  });
});
