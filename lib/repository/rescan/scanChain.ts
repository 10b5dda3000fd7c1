import type { Chain } from '../chain.ts';
import type { CheckReport } from '../checkReport.ts';
import { readClaim } from '../claim.ts';
import { describePoint, encodeManifest, type PointManifest } from '../manifest.ts';
import {
  chainPrefix,
  manifestName,
  mapName,
  parsePointName,
  sequenceOf,
  stateName,
  treeName,
} from '../names.ts';
import { readManifest, type StoredManifest } from '../points.ts';
import { readPointState } from '../verify/pointState.ts';
import type { CatalogWriter, ChainFact, ChainHead } from './catalogWriter.ts';

/** What the listings of a chain say, before any object is read. */
interface Listing {
  readonly decided: readonly number[];
  readonly claimed: readonly number[];
  /** Numbers that any object names. */
  readonly named: ReadonlySet<number>;
  /** Sizes of maps and trees, by name. */
  readonly sizes: ReadonlyMap<string, number>;
  /** Numbers of which something was recorded after their commit. */
  readonly states: ReadonlySet<number>;
}

export interface ScannedChain {
  readonly points: number;
  readonly head: ChainHead | null;
}

/**
 * Streams the facts of one chain: one manifest at a time in memory. Damage goes to the report by the name of the object, and
 * the scan goes on. Which packs a point needs is not looked at: that is `checkRepository`'s.
 *
 * @param floor the head that is remembered and stands: never gone below, even if its manifest cannot be read now
 */
export async function scanChain(
  chain: Chain,
  floor: ChainHead | null,
  writer: CatalogWriter,
  report: CheckReport,
  signal?: AbortSignal,
): Promise<ScannedChain> {
  const fact: ChainFact = {
    id: chain.id,
    machine: chain.machine,
    session: chain.session,
    createdAt: chain.createdAt,
    blockBytes: chain.blockBytes,
  };
  const listing = await list(chain, signal);
  reportGaps(chain, listing, report);
  await writer.chain(fact);
  const points: number[] = [];
  const damaged: number[] = [];
  const numbers = new Map<number, string>();
  let newest: PointManifest | null = null;
  let head: ChainHead | null = null;
  for (const sequence of listing.decided) {
    signal?.throwIfAborted();
    const label = `${chain.id}/${sequence}`;
    const stored: StoredManifest | null = await report.guard(() => readManifest(chain, sequence), [label]);
    if (!stored) {
      damaged.push(sequence);
      continue;
    }
    const { manifest, tag, lastModified } = stored;
    head = { sequence, tag, state: manifest.state };
    for (const { uniqueId, number } of manifest.diskNumbers) {
      const known = numbers.get(number);
      if (known !== undefined && known !== uniqueId)
        report.found(manifestName(chain.id, sequence), `disk number ${number} was given twice`, [label]);
      else numbers.set(number, uniqueId);
    }
    if (manifest.state === 'void') {
      const { reason, voidedAt } = manifest;
      await writer.removed({ chain: fact, sequence, reason, voidedAt });
      continue;
    }
    checkPresence(chain, manifest, listing, report);
    points.push(sequence);
    newest = manifest;
    const state = listing.states.has(sequence)
      ? await report.guard(() => readPointState(chain, sequence), [label])
      : null;
    await writer.point({
      chain: fact,
      point: describePoint(manifest),
      manifest,
      state: state ?? null,
      bytes: encodeManifest(manifest),
      tag,
      lastModified,
    });
  }
  const open = listing.claimed.filter((sequence) => !listing.decided.includes(sequence));
  for (const sequence of open) await report.guard(() => readClaim(chain, sequence));
  if (floor && (head?.sequence ?? 0) < floor.sequence) head = floor;
  await writer.chainEnd({
    chain: fact,
    head,
    newest: newest?.sequence ?? null,
    bases: basesOf(newest),
    diskNumbers: [...numbers].map(([number, uniqueId]) => ({ uniqueId, number })).sort(byNumber),
    points,
    damaged,
    open,
  });
  return { points: points.length, head };
}

const byNumber = (a: { number: number }, b: { number: number }): number => a.number - b.number;

const basesOf = (manifest: PointManifest | null): Record<string, { snapshotId: string; familyId: string }> =>
  Object.fromEntries(
    (manifest?.disks ?? []).map(({ uniqueId, snapshotId, snapshotFamilyId }) => [
      uniqueId,
      { snapshotId, familyId: snapshotFamilyId },
    ]),
  );

async function list({ id, repository }: Chain, signal?: AbortSignal): Promise<Listing> {
  const decided: number[] = [];
  const claimed: number[] = [];
  const named = new Set<number>();
  const sizes = new Map<string, number>();
  const states = new Set<number>();
  // Data first: a claim is written before the packs of its number, so what names a number has its claim in the later listing.
  for (const store of [repository.data, repository.meta]) {
    for await (const { name, size } of store.list(chainPrefix(id), { signal })) {
      const sequence = sequenceOf(name);
      if (sequence !== null) named.add(sequence);
      const point = parsePointName(name);
      if (point?.kind === 'manifest') decided.push(point.sequence);
      else if (point?.kind === 'session') claimed.push(point.sequence);
      else if (sequence !== null && name === stateName(id, sequence)) states.add(sequence);
      else if (/\.(map|tree)$/.test(name)) sizes.set(name, size);
    }
  }
  return { decided: decided.sort((a, b) => a - b), claimed, named, sizes, states };
}

/** A number that objects name has a claim or a manifest: both are written before and stay. Else the manifest was lost. */
function reportGaps(chain: Chain, { decided, claimed, named }: Listing, report: CheckReport): void {
  const known = new Set([...decided, ...claimed]);
  for (const sequence of [...named].filter((one) => !known.has(one)).sort((a, b) => a - b)) {
    report.found(
      manifestName(chain.id, sequence),
      'is missing, and so is the claim on its number, though there are other objects of it',
      [`${chain.id}/${sequence}`],
    );
  }
}

/** The trees and maps that a manifest names are there, in their lengths. */
function checkPresence(
  chain: Chain,
  { sequence, disks }: PointManifest,
  { sizes }: Listing,
  report: CheckReport,
): void {
  const label = [`${chain.id}/${sequence}`];
  const expect = (name: string, length: number) => {
    const size = sizes.get(name);
    if (size === undefined) report.found(name, 'is missing', label);
    else if (size !== length) report.found(name, `has ${size} bytes instead of ${length}`, label);
  };
  for (const { number: disk, tree, maps } of disks) {
    expect(treeName(chain.id, tree), tree.length);
    for (const { shard, attempt, length } of maps)
      expect(mapName(chain.id, { sequence, disk, shard, attempt }), length);
  }
}
