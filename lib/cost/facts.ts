import { MiB, type RestorePoint } from '../model/index.ts';
import type { MachineFacts } from './estimateMachine.ts';

const DAY_MS = 86_400_000;
/** So many of the newest restore points are looked at. */
const POINTS = 30;
/** Two points nearer to each other say nothing about a day. */
const LEAST_DAYS = 1 / 24;
/** Less than this says nothing about compression. */
const LEAST_READ = 64 * MiB;

/**
 * What a machine's restore points tell, those of its newest one's chain: what its disks hold, how much of it changes in a day, and
 * what compression leaves. `points` in any order.
 */
export function measuredFacts(
  points: readonly RestorePoint[],
): Pick<MachineFacts, 'disks' | 'dailyChange' | 'storedRatio'> | null {
  const newest = points.reduce<RestorePoint | null>(
    (last, point) => (last && last.takenAt >= point.takenAt ? last : point),
    null,
  );
  if (!newest) return null;
  const chain = points
    .filter(({ chainId }) => chainId === newest.chainId)
    .sort((a, b) => a.sequence - b.sequence)
    .slice(-POINTS);
  return {
    disks: newest.disks.map(({ name, sizeBytes, allocatedBytes }) => ({
      name,
      sizeBytes,
      usedBytes: allocatedBytes,
    })),
    dailyChange: dailyChange(chain),
    storedRatio: storedRatio(chain),
  };
}

/** The mean of what each incremental says: a fraction f read after d days comes from 1 - (1 - f)^(1/d) a day. */
function dailyChange(chain: readonly RestorePoint[]): number | null {
  const changes: number[] = [];
  for (const [i, point] of chain.entries()) {
    const before = chain[i - 1];
    if (!before || point.disks.some(({ readReason }) => readReason !== 'changedBlocks')) continue;
    const days = (Date.parse(point.takenAt) - Date.parse(before.takenAt)) / DAY_MS;
    const held = sum(point, ({ allocatedBytes }) => allocatedBytes);
    if (days < LEAST_DAYS || held === 0) continue;
    const fraction = Math.min(0.99, sum(point, ({ readBytes }) => readBytes) / held);
    changes.push(1 - (1 - fraction) ** (1 / days));
  }
  return changes.length === 0 ? null : changes.reduce((total, one) => total + one, 0) / changes.length;
}

function storedRatio(chain: readonly RestorePoint[]): number | null {
  const total = (pick: (disk: RestorePoint['disks'][number]) => number) =>
    chain.reduce((all, point) => all + sum(point, pick), 0);
  const read = total(({ readBytes }) => readBytes);
  return read < LEAST_READ ? null : total(({ storedBytes }) => storedBytes) / read;
}

const sum = ({ disks }: RestorePoint, pick: (disk: RestorePoint['disks'][number]) => number): number =>
  disks.reduce((all, disk) => all + pick(disk), 0);
