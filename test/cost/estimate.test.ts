import { describe, expect, it } from 'vitest';
import {
  type Assumptions,
  assumptionsSchema,
  type BackupWay,
  changedAfter,
  DAYS_PER_MONTH,
  DEFAULT_PRICES,
  estimateMachine,
  type Kept,
  type Load,
  loadOf,
  type MachineFacts,
  type PriceTable,
  priceTableSchema,
  sumUp,
} from '../../lib/cost/index.ts';
import { calendarSchema, GiB, retentionRulesSchema, snapshotRulesSchema } from '../../lib/model/index.ts';

const here = (factor: number) => ({
  snapshotGiBMonth: { locallyRedundant: 0.05 * factor, zoneRedundant: 0.1 * factor },
  blobGiBMonth: { hot: 0.02 * factor, cool: 0.01 * factor, cold: 0.004 * factor },
  operations10k: {
    hot: { write: 0.05 * factor, read: 0.004 * factor },
    cool: { write: 0.1 * factor, read: 0.01 * factor },
    cold: { write: 0.2 * factor, read: 0.1 * factor },
  },
  workerHour: { small: 0.1 * factor, '*': 0.4 * factor },
});
/** Round numbers, to reckon by hand. */
const PRICES: PriceTable = priceTableSchema.parse({
  name: 'round',
  asOf: '2026-01-01',
  currency: 'EUR',
  regions: { north: here(1), south: here(2), '*': here(10) },
  traffic: { areas: { north: 'one', south: 'one', far: 'other' }, within: { '*': 0.02 }, between: 0.5 },
});
const ASSUMPTIONS: Assumptions = assumptionsSchema.parse({ deadPercent: 0, workerStartMinutes: 0 });
const WAY: BackupWay = {
  changedBlocks: true,
  wholeReadEveryDays: null,
  zoneRedundantSnapshots: false,
  workers: true,
  workerSizes: ['small'],
  repositoryRegions: new Map([['default', 'north']]),
};
const FACTS: MachineFacts = {
  machineId: 'id',
  machine: 'web',
  region: 'north',
  disks: [{ name: 'os', sizeBytes: 200 * GiB, usedBytes: 100 * GiB }],
  dailyChange: 0.1,
  storedRatio: 0.5,
};
/** Daily: exactly one a day. */
const daily = (gapDays: readonly number[]): Kept => ({
  perMonth: DAYS_PER_MONTH,
  count: gapDays.length + 1,
  gapDays,
});
const load = (snapshots: Kept, repositories: Record<string, Kept>): Load => ({
  snapshots,
  repositories: new Map(Object.entries(repositories)),
});

const estimate = (
  facts: Partial<MachineFacts> = {},
  way: Partial<BackupWay> = {},
  given: Load = load(daily([1]), { default: daily([1, 1, 7]) }),
  assumptions = ASSUMPTIONS,
) => {
  const machine = estimateMachine(
    { ...FACTS, ...facts },
    given,
    { ...WAY, ...way },
    { prices: PRICES, assumptions },
  );
  return sumUp([machine], { prices: PRICES, assumptions });
};

describe('what a machine costs', () => {
  it('a hand-computed example', () => {
    const { monthly, once, machines, currency, warnings } = estimate();
    // Two snapshots, a day apart: 100 GiB and a tenth of it, at 0.05.
    expect(monthly.snapshots).toBeCloseTo(110 * 0.05, 9);
    // Four points: 100 + 10 + 10 + 52.17031 GiB, half of it stored, at 0.02.
    expect(monthly.repository).toBeCloseTo((172.17031 / 2) * 0.02, 9);
    expect(monthly.traffic).toBe(0);
    // 30.41666 backups a month, each 5 GiB in 320 packs of 16 MiB and 19 more writes, and 37 reads.
    const writes = 30.416666666666668 * (320 + 8 + 5 + 6);
    expect(monthly.transactions).toBeCloseTo((writes * 0.05 + 30.416666666666668 * 37 * 0.004) / 10_000, 9);
    // 10 GiB each at 100 MiB/s: 102.4 s, at 0.1 an hour.
    expect(monthly.workers).toBeCloseTo(((30.416666666666668 * 102.4) / 3600) * 0.1, 9);
    expect(monthly.total).toBeCloseTo(
      monthly.snapshots + monthly.repository + monthly.transactions + monthly.workers,
      9,
    );
    // The first full: 3,200 packs, and 1,024 s of a worker.
    expect(once).toMatchObject({ snapshots: 0, repository: 0, traffic: 0 });
    expect(once.transactions).toBeCloseTo((3200 * 0.05) / 10_000, 9);
    expect(once.workers).toBeCloseTo((1024 / 3600) * 0.1, 9);
    expect([currency, warnings, machines[0]?.basis]).toEqual(['EUR', [], 'measured']);
    expect(machines[0]).toMatchObject({ sizeBytes: 200 * GiB, usedBytes: 100 * GiB });
  });

  it('between regions: traffic by the stored byte, prices of the region of the repository, and a warning', () => {
    const { monthly, once, warnings } = estimate({}, { repositoryRegions: new Map([['default', 'south']]) });
    expect(monthly.traffic).toBeCloseTo(30.416666666666668 * 5 * 0.02, 9);
    expect(once.traffic).toBeCloseTo(50 * 0.02, 9);
    expect(monthly.repository).toBeCloseTo((172.17031 / 2) * 0.04, 9);
    expect(warnings).toEqual([
      'web is in north and repository default in south: traffic between regions is paid for.',
    ]);
    const far = estimate({}, { repositoryRegions: new Map([['default', 'far']]) });
    expect(far.once.traffic).toBeCloseTo(50 * 0.5, 9);
  });

  it('a copy in a second repository costs its own storage, traffic, transactions and hours', () => {
    const kept = daily([1, 1, 7]);
    const { monthly, machines } = estimate(
      {},
      {
        repositoryRegions: new Map([
          ['default', 'north'],
          ['copy', 'south'],
        ]),
      },
      load(daily([1]), { default: kept, copy: kept }),
    );
    expect(monthly.repository).toBeCloseTo((172.17031 / 2) * (0.02 + 0.04), 9);
    expect(new Set(machines[0]?.lines.map(({ repository }) => repository))).toEqual(
      new Set([null, 'default', 'copy']),
    );
  });

  it('what was never measured is taken for granted, and said', () => {
    const disks = [{ name: 'os', sizeBytes: 200 * GiB, usedBytes: null }];
    const { machines } = estimate({ disks, dailyChange: null, storedRatio: null });
    expect(machines[0]).toMatchObject({ usedBytes: 100 * GiB, basis: 'assumed' });
    expect(estimate({ dailyChange: null }).machines[0]?.basis).toBe('partly');
  });

  it('without changed block tracking each backup reads everything; without workers nothing is paid for hours', () => {
    const whole = estimate({}, { changedBlocks: false });
    expect(whole.monthly.workers).toBeCloseTo(((30.416666666666668 * 1024) / 3600) * 0.1, 9);
    expect(whole.monthly.repository).toBe(estimate().monthly.repository);
    // Once in ten days: 3.04 of the 30.4 backups read all.
    const sometimes = estimate({}, { wholeReadEveryDays: 10 }).monthly.workers;
    expect(sometimes).toBeCloseTo(((30.416666666666668 * (0.9 * 102.4 + 0.1 * 1024)) / 3600) * 0.1, 9);
    expect(estimate({}, { workers: false }).monthly.workers).toBe(0);
  });

  it('redundant snapshots, other tiers, dead bytes and starts of workers have their price', () => {
    expect(estimate({}, { zoneRedundantSnapshots: true }).monthly.snapshots).toBeCloseTo(110 * 0.1, 9);
    const assumptions = assumptionsSchema.parse({ tier: 'cool', deadPercent: 20, workerStartMinutes: 6 });
    const { monthly } = estimate({}, {}, undefined, assumptions);
    expect(monthly.repository).toBeCloseTo((172.17031 / 2) * 1.2 * 0.01, 9);
    expect(monthly.workers).toBeCloseTo(30.416666666666668 * (102.4 / 3600 + 0.1) * 0.1, 9);
  });

  it('an unknown region, an unknown place of a repository, and too many snapshots are warned of', () => {
    const many = daily(Array.from({ length: 600 }, () => 1 / 24));
    const { warnings } = estimate(
      { region: 'nowhere' },
      { repositoryRegions: new Map() },
      load(many, { default: daily([]) }),
    );
    expect(warnings).toEqual([
      'The price table round does not name nowhere.',
      'web would keep 601 snapshots of each disk; Azure takes 500.',
      'The region of repository default is not known: taken to be that of the machine.',
    ]);
  });

  it('amounts of several machines add up, and what they warn of alike is said once', () => {
    const one = estimateMachine({ ...FACTS, region: 'x' }, load(daily([1]), {}), WAY, {
      prices: PRICES,
      assumptions: ASSUMPTIONS,
    });
    const { monthly, warnings } = sumUp([one, one, one], { prices: PRICES, assumptions: ASSUMPTIONS });
    expect(monthly.total).toBeCloseTo(3 * 110 * 0.5, 9);
    expect(warnings).toHaveLength(1);
  });
});

describe('how much differs after some days', () => {
  it('what is written twice differs once', () => {
    expect([0, 1, 2, 7].map((days) => changedAfter(days, 0.1))).toEqual([
      0,
      expect.closeTo(0.1, 12),
      expect.closeTo(0.19, 12),
      expect.closeTo(0.5217031, 12),
    ]);
    expect([changedAfter(5, 0), changedAfter(5, 1), changedAfter(5, 3)]).toEqual([0, 1, 1]);
  });
});

describe('what a policy comes to', () => {
  const from = new Date('2026-01-01T00:00:00Z');
  const calendar = (...schedules: object[]) => calendarSchema.parse({ timeZone: 'UTC', schedules });
  const retention = (keep: object) => ({
    backups: retentionRulesSchema.parse({ keep }),
    snapshots: snapshotRulesSchema.parse({ keep: { daily: { points: 3 } } }),
  });

  it('a backup a day of which seven stay', () => {
    const { snapshots, repositories } = loadOf({
      calendar: calendar({ every: 'day', at: ['02:00'] }),
      retention: retention({ daily: { points: 7 } }),
      destinations: () => ['default', 'copy'],
      from,
      months: 12,
    });
    const seven = { perMonth: 30, count: 7, gapDays: [1, 1, 1, 1, 1, 1] };
    expect(Object.fromEntries(repositories)).toEqual({ default: seven, copy: seven });
    expect(snapshots).toEqual({ perMonth: 30, count: 3, gapDays: [1, 1] });
  });

  it('monthly backups to a repository of their own: each repository has its own points and gaps', () => {
    const { repositories } = loadOf({
      calendar: calendar({ every: 'day', at: ['02:00'] }, { every: 'month', at: ['12:00'], on: { day: 1 } }),
      retention: retention({ daily: { points: 2 }, monthly: { months: 3 } }),
      destinations: (flags) => (flags.includes('monthly') ? ['vault'] : ['default']),
      from,
      months: 12,
    });
    expect(repositories.get('default')).toEqual({ perMonth: 30, count: 2, gapDays: [1] });
    const vault = repositories.get('vault');
    expect(vault).toMatchObject({ count: 3, gapDays: [31, 30] });
    expect(vault?.perMonth).toBeLessThanOrEqual(1);
  });
});

describe('the table that is shipped', () => {
  it('is complete, and says that it is an estimate and of when', () => {
    expect(priceTableSchema.parse(JSON.parse(JSON.stringify(DEFAULT_PRICES)))).toEqual(DEFAULT_PRICES);
    expect(DEFAULT_PRICES.note).toMatch(/estimate/i);
    expect(DEFAULT_PRICES.asOf).toMatch(/^\d{4}-\d\d-\d\d$/);
    for (const region of Object.keys(DEFAULT_PRICES.traffic.areas))
      expect(Object.keys(DEFAULT_PRICES.regions)).toContain(region);
  });

  it('another one must have prices for what it does not name', () => {
    const { '*': _, ...regions } = DEFAULT_PRICES.regions;
    expect(priceTableSchema.safeParse({ ...DEFAULT_PRICES, regions }).success).toBe(false);
    expect(priceTableSchema.safeParse({ ...DEFAULT_PRICES, currency: 'euro' }).success).toBe(false);
  });
});
