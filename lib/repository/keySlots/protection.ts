import type { RepositoryMode } from '../keys.ts';

/** What a mode protects against, for people: shown wherever a repository is registered, opened or listed. */
export const protectionOf = (mode: RepositoryMode): string =>
  mode === 'encrypted'
    ? 'Encrypted: without a key slot nobody reads the disks, and whatever is altered, swapped or cut is detected.'
    : 'Not encrypted: checksums detect accidents, not attackers. Whoever reads the containers reads the disks, and whoever writes to them can forge restore points.';
