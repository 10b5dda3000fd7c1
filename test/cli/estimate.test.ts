import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { DEFAULT_PRICES } from '../../lib/cost/index.ts';
import { GiB } from '../../lib/model/index.ts';
import { run, scriptedService } from './service.ts';

const MONTHLY = {
  snapshots: 5.5,
  repository: 1.721703,
  traffic: 0,
  transactions: 0.00012,
  workers: 0.0865,
  total: 7.308323,
};
const ONCE = { snapshots: 0, repository: 0, traffic: 1, transactions: 0.016, workers: 0.028, total: 1.044 };
const ANSWER = {
  currency: 'USD',
  prices: { name: 'shipped estimate', asOf: '2025-06-01', note: 'An estimate.' },
  assumptions: { months: 12 },
  machines: [
    {
      machine: 'web, "one"',
      region: 'westeurope',
      sizeBytes: 200 * GiB,
      usedBytes: 100 * GiB,
      basis: 'measured',
      monthly: MONTHLY,
      once: ONCE,
      lines: [
        {
          kind: 'snapshots',
          period: 'month',
          what: '2 kept',
          repository: null,
          quantity: 110,
          unit: 'GiB-month',
          unitPrice: 0.05,
          amount: 5.5,
        },
      ],
    },
  ],
  monthly: MONTHLY,
  once: ONCE,
  warnings: ['web is in westeurope and repository far in eastus: traffic between regions is paid for.'],
};

describe('policy estimate', () => {
  let service: Awaited<ReturnType<typeof scriptedService>>;
  let cwd: string;
  beforeAll(async () => {
    cwd = await mkdtemp(join(tmpdir(), 'holdfast-estimate-'));
    await writeFile(join(cwd, 'prices.json'), JSON.stringify(DEFAULT_PRICES));
    await writeFile(join(cwd, 'wrong.yaml'), 'name: nothing');
    await writeFile(join(cwd, 'policy.yaml'), 'id: nightly\nscope: { all: true }\n');
  });
  afterAll(() => rm(cwd, { recursive: true, force: true }));
  afterEach(() => service.close());
  const start = async () => {
    service = await scriptedService({ 'POST policies/nightly/estimate': { body: ANSWER } });
  };

  test('a table with what it comes to, the warnings, and of when the prices are', async () => {
    await start();
    const { out, err, code } = await run(service.url, ['policy', 'estimate', 'nightly']);
    expect(code).toBe(0);
    expect(out).toContain('100 GiB');
    expect(out).toMatch(/5\.50 +1\.72 +0\.00 +0\.00 +0\.09 +7\.31 +1\.04 +USD +measured/);
    expect(out).toContain('Together 7.31 USD a month, and 1.04 once.');
    expect(err).toContain('warning: web is in westeurope');
    expect(err).toContain('Prices: shipped estimate, 2025-06-01. An estimate.');
    expect(service.seen[0]?.body).toEqual({ assumptions: {} });
  });

  test('-o csv of machines, and of lines', async () => {
    await start();
    const machines = (await run(service.url, ['policy', 'estimate', 'nightly', '-o', 'csv'])).out.split(
      '\r\n',
    );
    expect(machines[0]).toBe(
      'MACHINE,REGION,USED,SNAPSHOTS,REPOSITORY,TRAFFIC,TRANSACTIONS,WORKERS,A MONTH,ONCE,CURRENCY,BASIS',
    );
    expect(machines[1]).toBe(
      `"web, ""one""",westeurope,${100 * GiB},5.5,1.7217,0,0.0001,0.0865,7.3083,1.044,USD,measured`,
    );
    const { out } = await run(service.url, 'policy estimate nightly --lines -o csv'.split(' '));
    expect(out.split('\r\n')[1]).toBe('"web, ""one""",snapshots,month,2 kept,,110,GiB-month,0.05,5.5');
    const json = await run(service.url, ['policy', 'estimate', 'nightly', '-o', 'json']);
    expect(JSON.parse(json.out)).toEqual(ANSWER);
  });

  test('options go to the service: a draft, prices, a machine, assumptions', async () => {
    await start();
    const line = 'policy estimate nightly --file policy.yaml --prices prices.json --machine web --months 3';
    await run(service.url, [...line.split(' '), '--assume', 'usedPercent=40', '--assume', 'tier=cool'], {
      cwd,
    });
    expect(service.seen[0]?.body).toEqual({
      assumptions: { usedPercent: 40, tier: 'cool', months: 3 },
      machine: 'web',
      prices: DEFAULT_PRICES,
      policy: { id: 'nightly', scope: { all: true } },
    });
    const wrong = await run(service.url, 'policy estimate nightly --prices wrong.yaml'.split(' '), { cwd });
    expect([wrong.code, wrong.err]).toEqual([2, expect.stringContaining('wrong.yaml is no price table')]);
    expect((await run(service.url, 'policy estimate nightly --assume x'.split(' '))).code).toBe(2);
  });

  test('prices are shown as a document that can be set', async () => {
    service = await scriptedService({
      'GET prices': { body: DEFAULT_PRICES },
      'PUT prices': ({ body }) => ({ body }),
      'DELETE prices': { status: 204, body: '' },
    });
    const { out } = await run(service.url, ['prices', 'show']);
    expect(parse(out)).toEqual(DEFAULT_PRICES);
    await writeFile(join(cwd, 'own.yaml'), out);
    expect((await run(service.url, ['prices', 'set', 'own.yaml'], { cwd })).code).toBe(0);
    expect(service.seen[1]?.body).toEqual(DEFAULT_PRICES);
    expect((await run(service.url, ['prices', 'reset'])).code).toBe(0);
  });
});
