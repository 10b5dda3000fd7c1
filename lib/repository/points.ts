import { HoldfastError, isHoldfastError } from '../model/index.ts';
import type { Chain } from './chain.ts';
import { CLAIM_EXPIRES_MS, readClaim } from './claim.ts';
import { createOnce, readIfThere } from './createOnce.ts';
import { decoding, missingObject } from './damage.ts';
import {
  encodeManifest,
  type Manifest,
  manifestSchema,
  type PointManifest,
  type VoidManifest,
} from './manifest.ts';
import { claimName, manifestName, parsePointName, pointsPrefix } from './names.ts';
import { FORMAT_VERSION, KIND, openWhole, sealWhole, tagOf } from './sealedObject.ts';
import { storeTime } from './storeTime.ts';

/** A manifest as it is stored. `tag` (hex) names exactly this version of it. */
export interface StoredManifest<M extends Manifest = Manifest> {
  readonly manifest: M;
  readonly tag: string;
  readonly etag: string;
  readonly lastModified: Date;
}

const binding = (chain: Chain, sequence: number) => ({
  kind: KIND.manifest,
  chain: chain.id,
  name: manifestName(chain.id, sequence),
});

/** Null while the number is undecided. `corruptObject` when what is stored is not authentic. */
export async function readManifest(chain: Chain, sequence: number): Promise<StoredManifest | null> {
  const { name } = binding(chain, sequence);
  const stored = await readIfThere(chain.repository.meta, name);
  if (!stored) return null;
  const plain = openWhole(chain.repository.keys.meta, binding(chain, sequence), stored.bytes);
  const manifest = decoding(name, 'the manifest', () =>
    manifestSchema.parse(JSON.parse(plain.toString('utf8'))),
  );
  return { manifest, tag: tagOf(stored.bytes), etag: stored.etag, lastModified: stored.lastModified };
}

/** The point, or `missingObject` when the number holds none. */
export async function readPoint(chain: Chain, sequence: number): Promise<StoredManifest<PointManifest>> {
  const stored = await readManifest(chain, sequence);
  if (stored?.manifest.state === 'point') return stored as StoredManifest<PointManifest>;
  const name = manifestName(chain.id, sequence);
  if (!stored) throw missingObject(name, chain.repository.meta.name);
  const { reason } = stored.manifest;
  throw new HoldfastError(
    'missingObject',
    `Number ${sequence} of chain ${chain.id} holds no restore point: it was ${reason}.`,
    {
      target: name,
    },
  );
}

/** Numbers of the chain that are decided, ascending, with their manifests. One at a time in memory. */
export async function* listManifests(chain: Chain): AsyncIterable<StoredManifest> {
  for (const sequence of await decidedSequences(chain)) {
    const stored = await readManifest(chain, sequence);
    if (stored) yield stored;
  }
}

export async function decidedSequences({ id, repository }: Chain): Promise<number[]> {
  const sequences: number[] = [];
  for await (const { name } of repository.meta.list(pointsPrefix(id))) {
    const point = parsePointName(name);
    if (point?.kind === 'manifest') sequences.push(point.sequence);
  }
  return sequences;
}

/** Creates the manifest, or returns what already decides the number. */
export async function decide<M extends Manifest>(
  chain: Chain,
  manifest: M,
): Promise<{ won: true; manifest: M; tag: string } | { won: false; manifest: Manifest; tag: string }> {
  const bound = binding(chain, manifest.sequence);
  const { bytes, tag } = sealWhole(chain.repository.keys.meta, bound, encodeManifest(manifest));
  const outcome = await createOnce(chain.repository.meta, bound.name, bytes);
  if (outcome === 'created') return { won: true, manifest, tag };
  const stored = await readManifest(chain, manifest.sequence);
  if (!stored) throw missingObject(bound.name, chain.repository.meta.name);
  return { won: false, manifest: stored.manifest, tag: stored.tag };
}

export interface VoidClaim {
  readonly sequence: number;
  /** Who ends it: for people. */
  readonly by: string;
  readonly now: Date;
  /** `sessionEnded`: its orchestration is terminal or missing. `stale`: not renewed for an hour; checked here, by the store's clock. */
  readonly because: 'sessionEnded' | 'stale';
}

/**
 * Ends a number whose session will not commit. Returns what decides the number now: our void, an earlier one, or the point
 * that its session committed first. May be called again. `conflict` when it should be stale and is not.
 */
export async function voidClaim(chain: Chain, request: VoidClaim): Promise<Manifest> {
  const { sequence, by, now, because } = request;
  const decided = await readManifest(chain, sequence);
  if (decided) return decided.manifest;
  const claim = await readClaim(chain, sequence);
  if (!claim) throw missingObject(claimName(chain.id, sequence), chain.repository.meta.name);
  if (because === 'stale') {
    const silent = (await storeTime(chain.repository)).getTime() - claim.renewedAt.getTime();
    if (silent < CLAIM_EXPIRES_MS) {
      throw new HoldfastError(
        'conflict',
        `Number ${sequence} of chain ${chain.id} was renewed ${Math.round(silent / 1000)} s ago: its session may be alive.`,
        {
          target: claimName(chain.id, sequence),
        },
      );
    }
  }
  const { session, epoch } = claim;
  const manifest: VoidManifest = {
    format: FORMAT_VERSION,
    state: 'void',
    chain: chain.id,
    sequence,
    session,
    epoch,
    reason: 'abandoned',
    by,
    voidedAt: now.toISOString(),
    diskNumbers: [],
    disks: [],
  };
  return (await decide(chain, manifest)).manifest;
}

/**
 * Removes a restore point: its manifest becomes a void that keeps its roots. No other object is touched, and every other
 * point stays as it is. May be called again.
 */
export async function removePoint(
  chain: Chain,
  { sequence, by, now }: { sequence: number; by: string; now: Date },
): Promise<StoredManifest<VoidManifest>> {
  for (;;) {
    const stored = await readManifest(chain, sequence);
    const bound = binding(chain, sequence);
    if (!stored) throw missingObject(bound.name, chain.repository.meta.name);
    if (stored.manifest.state === 'void') return stored as StoredManifest<VoidManifest>;
    const { session, epoch, diskNumbers, disks } = stored.manifest;
    const manifest: VoidManifest = {
      format: FORMAT_VERSION,
      state: 'void',
      chain: chain.id,
      sequence,
      session,
      epoch,
      reason: 'removed',
      by,
      voidedAt: now.toISOString(),
      diskNumbers,
      disks: disks.map(({ number, sizeBytes, tree }) => ({ number, sizeBytes, tree })),
    };
    const { bytes } = sealWhole(chain.repository.keys.meta, bound, encodeManifest(manifest));
    try {
      await chain.repository.meta.replace(bound.name, bytes, stored.etag);
    } catch (error) {
      // Somebody else removed it, or an earlier try of this call arrived.
      if (!isHoldfastError(error, 'preconditionFailed')) throw error;
    }
  }
}
