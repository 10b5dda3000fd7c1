import { FLAGS, type Flag, type Storage } from '../../model/index.ts';

export interface Destination {
  readonly repository: string;
  /** Each once, and never the repository itself. */
  readonly copies: readonly string[];
}

/**
 * Where a machine's backup goes: to the repository of the most lasting of its flags that has one, else to that of the machine's region,
 * else to the policy's. Regions are compared as Azure does, without case and spaces.
 */
export function destinationOf(
  storage: Storage,
  { location }: { readonly location: string },
  flags: readonly Flag[],
): Destination {
  const byFlag = LASTING.filter((flag) => flags.includes(flag))
    .map((flag) => storage.flags[flag])
    .find((repository) => repository !== undefined);
  const region = Object.entries(storage.regions).find(([name]) => plain(name) === plain(location));
  const repository = byFlag ?? region?.[1] ?? storage.repository;
  return { repository, copies: [...new Set(storage.copies)].filter((copy) => copy !== repository) };
}

/** Every repository that a policy may send a backup to. */
export const repositoriesOf = ({ repository, regions, flags, copies }: Storage): ReadonlySet<string> =>
  new Set([repository, ...Object.values(regions), ...Object.values(flags), ...copies]);

/** The one that is kept for longest first. */
const LASTING: readonly Flag[] = [...FLAGS].reverse();

const plain = (region: string): string => region.toLowerCase().replaceAll(' ', '');
