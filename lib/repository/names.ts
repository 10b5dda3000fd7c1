/**
 * The names of all objects. Numbers are zero-padded, so that the order of names is the order of numbers. A name is relative
 * to its container (meta or data), and every sealed object is bound to it.
 */

/** Names a pack within its chain. A block is (pack, ordinal). */
export interface PackId {
  /** Sequence of the restore point whose session wrote it. */
  readonly sequence: number;
  readonly disk: number;
  readonly shard: number;
  readonly attempt: number;
  /** Number of the pack within the shard's attempt. */
  readonly number: number;
}

/** Names a map object within its chain. */
export interface MapId {
  readonly sequence: number;
  readonly disk: number;
  readonly shard: number;
  readonly attempt: number;
}

/** Names a tree object within its chain. */
export interface TreeId {
  readonly sequence: number;
  readonly disk: number;
  readonly attempt: number;
}

const pad = (value: number, digits: number): string => String(value).padStart(digits, '0');

export const DESCRIPTOR = 'repository';
export const OWNER = 'owner';
export const LEASES = 'leases/';
export const CHAINS = 'chains/';

export const chainPrefix = (chain: string): string => `${CHAINS}${chain}/`;
export const chainName = (chain: string): string => `${chainPrefix(chain)}chain`;
export const pointsPrefix = (chain: string): string => `${chainPrefix(chain)}points/`;
export const claimName = (chain: string, sequence: number): string =>
  `${pointsPrefix(chain)}${pad(sequence, 8)}.session`;
export const manifestName = (chain: string, sequence: number): string =>
  `${pointsPrefix(chain)}${pad(sequence, 8)}.manifest`;
export const stateName = (chain: string, sequence: number): string =>
  `${pointsPrefix(chain)}${pad(sequence, 8)}.state`;
/** What rolling verification has covered. */
export const verifiedName = (chain: string): string => `${chainPrefix(chain)}verified`;
export const mapsPrefix = (chain: string): string => `${chainPrefix(chain)}maps/`;
export const packsPrefix = (chain: string): string => `${chainPrefix(chain)}packs/`;

export const treeName = (chain: string, { sequence, disk, attempt }: TreeId): string =>
  `${mapsPrefix(chain)}${pad(sequence, 8)}.${pad(disk, 4)}-${pad(attempt, 3)}.tree`;
export const mapName = (chain: string, { sequence, disk, shard, attempt }: MapId): string =>
  `${mapsPrefix(chain)}${pad(sequence, 8)}.${pad(disk, 4)}.${pad(shard, 6)}-${pad(attempt, 3)}.map`;
/** The prefix of all packs of one attempt at a shard. */
export const shardPacksPrefix = (chain: string, { sequence, disk, shard, attempt }: MapId): string =>
  `${packsPrefix(chain)}${pad(sequence, 8)}-${pad(disk, 4)}-${pad(shard, 6)}-${pad(attempt, 3)}-`;
export const packName = (chain: string, id: PackId): string =>
  `${shardPacksPrefix(chain, id)}${pad(id.number, 6)}.pack`;

/** Of all generations of one pack. */
export const generationsPrefix = (chain: string, id: PackId): string =>
  `${shardPacksPrefix(chain, id)}${pad(id.number, 6)}.`;
/** A pack as its shard wrote it is generation 0; compaction writes the others. */
export const generationName = (chain: string, id: PackId, generation: number): string =>
  generation === 0 ? packName(chain, id) : `${generationsPrefix(chain, id)}g${generation}.pack`;

const PACK = /\/packs\/(\d+)-(\d+)-(\d+)-(\d+)-(\d+)(?:\.g([1-9]\d*))?\.pack$/;
export function parsePackName(name: string): { id: PackId; generation: number } | null {
  const [, sequence, disk, shard, attempt, number, generation = '0'] = PACK.exec(name) ?? [];
  if (number === undefined) return null;
  const id = {
    sequence: Number(sequence),
    disk: Number(disk),
    shard: Number(shard),
    attempt: Number(attempt),
    number: Number(number),
  };
  return { id, generation: Number(generation) };
}

const NUMBERED = /^chains\/[^/]+\/(points|maps|packs)\/(\d+)[.-]/;
/** The sequence in the name of any object of a chain; null for `chain` and for what is not ours. */
export function sequenceOf(name: string): number | null {
  const digits = NUMBERED.exec(name)?.[2];
  return digits === undefined ? null : Number(digits);
}

const MAP = /\/maps\/(\d+)\.(\d+)\.(\d+)-(\d+)\.map$/;
export function parseMapName(name: string): MapId | null {
  const [, sequence, disk, shard, attempt] = MAP.exec(name) ?? [];
  if (attempt === undefined) return null;
  return { sequence: Number(sequence), disk: Number(disk), shard: Number(shard), attempt: Number(attempt) };
}

const POINT = /\/points\/(\d+)\.(session|manifest|state)$/;
export function parsePointName(
  name: string,
): { sequence: number; kind: 'session' | 'manifest' | 'state' } | null {
  const [, sequence, kind] = POINT.exec(name) ?? [];
  if (sequence === undefined) return null;
  return { sequence: Number(sequence), kind: kind as 'session' | 'manifest' | 'state' };
}

/** Staging: the plan of one attempt for one disk, and the windows it was made from. */
export const planName = (chain: string, sequence: number, disk: number, attempt: number): string =>
  `plans/${chain}/${pad(sequence, 8)}/${pad(disk, 4)}-${pad(attempt, 3)}.plan`;
export const planWindowName = (
  chain: string,
  sequence: number,
  disk: number,
  attempt: number,
  window: { readonly whole: boolean; readonly index: number },
): string =>
  `plans/${chain}/${pad(sequence, 8)}/${pad(disk, 4)}-${pad(attempt, 3)}.${window.whole ? 'w' : 'd'}${pad(window.index, 4)}.window`;
/** Staging: the page table that a session reads of a disk of a restore point: its parent's, or the one it restores. */
export const pageTableName = (session: string, disk: number): string =>
  `tables/${session}/${pad(disk, 4)}.table`;
