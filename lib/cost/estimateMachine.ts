import { GiB, MiB } from '../model/index.ts';
import type { Assumptions } from './assumptions.ts';
import { changedAfter, DAYS_PER_MONTH } from './growth.ts';
import type { Kept, Load } from './load.ts';
import { type PriceTable, pricesIn, regionKey, trafficPrice, workerPrice } from './prices.ts';

/** What is known of a machine; null where it was never measured. */
export interface MachineFacts {
  readonly machineId: string;
  readonly machine: string;
  readonly region: string;
  readonly disks: readonly {
    readonly name: string;
    readonly sizeBytes: number;
    /** What it holds. */
    readonly usedBytes: number | null;
  }[];
  /** Fraction of the used bytes that is written anew in a day. */
  readonly dailyChange: number | null;
  /** Stored bytes for each byte that is read. */
  readonly storedRatio: number | null;
}

/** How the backups are made, as far as it costs. */
export interface BackupWay {
  /** Off: each backup reads all that is used. */
  readonly changedBlocks: boolean;
  /** All that is used is read anyway every so many days; null: never. */
  readonly wholeReadEveryDays: number | null;
  readonly zoneRedundantSnapshots: boolean;
  /** False: the app moves the data itself, and no worker is paid for. */
  readonly workers: boolean;
  readonly workerSizes: readonly string[];
  /** Where each repository is; null: not known, and taken to be where the machine is. */
  readonly repositoryRegions: ReadonlyMap<string, string | null>;
}

export const COST_KINDS = ['snapshots', 'repository', 'traffic', 'transactions', 'workers'] as const;
export type CostKind = (typeof COST_KINDS)[number];

/** One line of an estimate: `quantity` of `unit` at `unitPrice` each. */
export interface CostLine {
  readonly kind: CostKind;
  /** `month`: each month, in the end. `once`: for the first full backup. */
  readonly period: 'month' | 'once';
  readonly what: string;
  /** Null: of snapshots. */
  readonly repository: string | null;
  readonly quantity: number;
  readonly unit: 'GiB-month' | 'GiB' | '10k operations' | 'hours';
  readonly unitPrice: number;
  readonly amount: number;
}

export interface MachineEstimate {
  readonly machineId: string;
  readonly machine: string;
  readonly region: string;
  readonly sizeBytes: number;
  readonly usedBytes: number;
  /** Whether used bytes, change and compression were measured at restore points of the machine, or taken for granted. */
  readonly basis: 'measured' | 'partly' | 'assumed';
  readonly lines: readonly CostLine[];
  readonly warnings: readonly string[];
}

/** Objects that a backup writes and reads beside its packs: claim, manifest, state, tree and map object of each disk, plan, tables. */
const WRITES = { backup: 8, disk: 5 };
const READS = { backup: 25, disk: 12 };
/** Listings of a backup and its retention; a list costs what a write does. */
const LISTS = 6;
/** Incremental snapshots of a disk at most; the cloud takes no more. */
const MOST_SNAPSHOTS = 500;

/** What one machine costs under a policy. */
export function estimateMachine(
  facts: MachineFacts,
  load: Load,
  way: BackupWay,
  { prices, assumptions }: { readonly prices: PriceTable; readonly assumptions: Assumptions },
): MachineEstimate {
  const lines: CostLine[] = [];
  const warnings: string[] = [];
  const size = measure(facts, assumptions);
  const local = pricesIn(prices, facts.region);
  if (!local.named) warnings.push(`The price table ${prices.name} does not name ${facts.region}.`);
  const add: AddLine = (kind, period, what, repository, quantity, unit, unitPrice) => {
    if (quantity > 0)
      lines.push({ kind, period, what, repository, quantity, unit, unitPrice, amount: quantity * unitPrice });
  };

  const perSnapshot = local.prices.snapshotGiBMonth;
  const price = way.zoneRedundantSnapshots ? perSnapshot.zoneRedundant : perSnapshot.locallyRedundant;
  const { snapshots } = load;
  add(
    'snapshots',
    'month',
    `${snapshots.count} kept`,
    null,
    heldBytes(size, snapshots) / GiB,
    'GiB-month',
    price,
  );
  if (snapshots.count > MOST_SNAPSHOTS)
    warnings.push(
      `${facts.machine} would keep ${snapshots.count} snapshots of each disk; Azure takes ${MOST_SNAPSHOTS}.`,
    );
  for (const [repository, kept] of load.repositories) {
    if (kept.perMonth === 0 && kept.count === 0) continue;
    const known = way.repositoryRegions.get(repository) ?? null;
    if (known === null)
      warnings.push(`The region of repository ${repository} is not known: taken to be that of the machine.`);
    addRepository({ facts, size, kept, way, prices, assumptions, add }, repository, known ?? facts.region);
    if (known !== null && regionKey(known) !== regionKey(facts.region))
      warnings.push(
        `${facts.machine} is in ${facts.region} and repository ${repository} in ${known}: traffic between regions is paid for.`,
      );
  }
  const { machineId, machine, region } = facts;
  return { machineId, machine, region, ...shown(size), lines, warnings };
}

type AddLine = (
  kind: CostKind,
  period: CostLine['period'],
  what: string,
  repository: string | null,
  quantity: number,
  unit: CostLine['unit'],
  unitPrice: number,
) => void;

interface Sized {
  readonly sizeBytes: number;
  readonly usedBytes: number;
  readonly dailyChange: number;
  readonly storedRatio: number;
  readonly basis: MachineEstimate['basis'];
}

const shown = ({ sizeBytes, usedBytes, basis }: Sized) => ({ sizeBytes, usedBytes, basis });

function measure({ disks, dailyChange, storedRatio }: MachineFacts, assumptions: Assumptions): Sized {
  const known = [...disks.map(({ usedBytes }) => usedBytes), dailyChange, storedRatio];
  const measured = known.filter((one) => one !== null).length;
  return {
    sizeBytes: disks.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    usedBytes: disks.reduce(
      (sum, { sizeBytes, usedBytes }) => sum + (usedBytes ?? (sizeBytes * assumptions.usedPercent) / 100),
      0,
    ),
    dailyChange: dailyChange ?? assumptions.dailyChangePercent / 100,
    storedRatio: storedRatio ?? assumptions.storedPercent / 100,
    basis: measured === known.length ? 'measured' : measured === 0 ? 'assumed' : 'partly',
  };
}

/** What so many points (or snapshots) hold together: everything once, and over each gap what differs. Uncompressed bytes. */
const heldBytes = ({ usedBytes, dailyChange }: Sized, { count, gapDays }: Kept): number =>
  count === 0 ? 0 : usedBytes * gapDays.reduce((sum, days) => sum + changedAfter(days, dailyChange), 1);

interface RepositoryWork {
  readonly facts: MachineFacts;
  readonly size: Sized;
  readonly kept: Kept;
  readonly way: BackupWay;
  readonly prices: PriceTable;
  readonly assumptions: Assumptions;
  readonly add: AddLine;
}

function addRepository(
  { facts, size, kept, way, prices, assumptions, add }: RepositoryWork,
  repository: string,
  region: string,
): void {
  const there = pricesIn(prices, region).prices;
  const { tier, deadPercent, packMiB, workerMiBPerSecond, workerStartMinutes } = assumptions;
  const { usedBytes, dailyChange, storedRatio } = size;
  const held = heldBytes(size, kept) * storedRatio * (1 + deadPercent / 100);
  const blobPrice = there.blobGiBMonth[tier];
  add('repository', 'month', `${kept.count} restore points`, repository, held / GiB, 'GiB-month', blobPrice);

  const backups = kept.perMonth;
  const changed = backups > 0 ? usedBytes * changedAfter(DAYS_PER_MONTH / backups, dailyChange) : 0;
  const wholeReads = Math.min(
    backups,
    way.wholeReadEveryDays === null ? 0 : DAYS_PER_MONTH / way.wholeReadEveryDays,
  );
  const read = way.changedBlocks
    ? (backups - wholeReads) * changed + wholeReads * usedBytes
    : backups * usedBytes;
  const stored = backups * changed * storedRatio;
  const first = usedBytes * storedRatio;

  const gib = trafficPrice(prices, facts.region, region);
  if (gib > 0) {
    const what = `${facts.region} to ${region}`;
    add('traffic', 'month', what, repository, stored / GiB, 'GiB', gib);
    add('traffic', 'once', what, repository, first / GiB, 'GiB', gib);
  }

  const { write, read: readPrice } = there.operations10k[tier];
  const disks = facts.disks.length;
  const packs = (bytes: number) => bytes / (packMiB * MiB);
  const writes = packs(stored) + backups * (WRITES.backup + WRITES.disk * disks + LISTS);
  const reads = backups * (READS.backup + READS.disk * disks);
  add('transactions', 'month', 'writes and lists', repository, writes / 10_000, '10k operations', write);
  add('transactions', 'month', 'reads', repository, reads / 10_000, '10k operations', readPrice);
  add('transactions', 'once', 'writes', repository, packs(first) / 10_000, '10k operations', write);

  if (!way.workers) return;
  const hour = workerPrice(pricesIn(prices, facts.region).prices, way.workerSizes);
  const hours = (bytes: number, starts: number) =>
    bytes / (workerMiBPerSecond * MiB) / 3600 + (starts * workerStartMinutes) / 60;
  add('workers', 'month', `${Math.round(backups)} backups`, repository, hours(read, backups), 'hours', hour);
  add('workers', 'once', 'first full', repository, hours(usedBytes, 1), 'hours', hour);
}
