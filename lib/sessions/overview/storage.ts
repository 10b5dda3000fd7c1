import type { Installation } from '../../installation/index.ts';
import { DEFAULT_REPOSITORY } from '../../model/index.ts';

export interface StoredData {
  /** Name of the repository in the installation; null: one that it does not know any more. */
  readonly repository: string | null;
  readonly machines: number;
  readonly chains: number;
  readonly restorePoints: number;
  /** Damaged or missing ones among them. */
  readonly damaged: number;
  /** Bytes that sessions wrote for the restore points that are kept; what was removed and not collected yet is not in it. */
  readonly storedBytes: number;
  /** Bytes that the disks of the newest restore point of each machine hold. */
  readonly protectedBytes: number;
}

/** Every restore point is read for it, so it is made anew this often. */
const FRESH_MS = 15 * 60_000;
const SIDE_BY_SIDE = 16;
const made = new WeakMap<
  Installation['catalog'],
  { readonly at: number; readonly data: Promise<StoredData[]> }
>();

/** What each repository holds, by the catalog; at most a quarter of an hour old. */
export function storedData(installation: Installation): Promise<StoredData[]> {
  const now = installation.clock.now().getTime();
  const known = made.get(installation.catalog);
  if (known && now - known.at < FRESH_MS) return known.data;
  const data = count(installation).catch((error: unknown) => {
    made.delete(installation.catalog);
    throw error;
  });
  made.set(installation.catalog, { at: now, data });
  return data;
}

type Sum = { -readonly [K in Exclude<keyof StoredData, 'repository'>]: number };

async function count(installation: Installation): Promise<StoredData[]> {
  const { points } = installation.catalog;
  const names = await repositoryNames(installation);
  const sums = new Map<string | null, Sum>();
  const machines = await points.machines();
  for (let at = 0; at < machines.length; at += SIDE_BY_SIDE) {
    const some = machines.slice(at, at + SIDE_BY_SIDE);
    for (const rows of await Promise.all(some.map((id) => points.listMachine(id)))) {
      for (const [repositoryId, own] of Map.groupBy(rows, (row) => row.repositoryId)) {
        const name = repositoryId === null ? DEFAULT_REPOSITORY : (names.get(repositoryId) ?? null);
        const sum = sums.get(name) ?? empty();
        sums.set(name, sum);
        sum.machines++;
        sum.chains += new Set(own.map(({ point }) => point.chainId)).size;
        sum.restorePoints += own.length;
        sum.damaged += own.filter(({ damaged, missing }) => damaged || missing).length;
        const disks = own.flatMap(({ point }) => point.disks);
        sum.storedBytes += disks.reduce((bytes, disk) => bytes + disk.storedBytes, 0);
        const newest = own.at(-1)?.point.disks ?? [];
        sum.protectedBytes += newest.reduce((bytes, disk) => bytes + disk.allocatedBytes, 0);
      }
    }
  }
  return [...sums].map(([repository, sum]) => ({ repository, ...sum }));
}

const empty = (): Sum => ({
  machines: 0,
  chains: 0,
  restorePoints: 0,
  damaged: 0,
  storedBytes: 0,
  protectedBytes: 0,
});

/** Names of repositories by their own ids, as far as they were opened once. */
async function repositoryNames(installation: Installation): Promise<Map<string, string>> {
  const names = new Map<string, string>();
  for (const { id } of await installation.repositoryPlaces()) {
    const known = await installation.catalog.installation.repository(id);
    if (known) names.set(known.id, id);
  }
  return names;
}
