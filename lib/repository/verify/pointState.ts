import { z } from 'zod';
import {
  type CarriedRetention,
  carriedRetentionSchema,
  chainIdSchema,
  HoldfastError,
  holdSchema,
  isHoldfastError,
  type PointRetention,
} from '../../model/index.ts';
import type { Chain } from '../chain.ts';
import { createOnce, readIfThere } from '../createOnce.ts';
import { decoding, missingObject } from '../damage.ts';
import { manifestName, stateName } from '../names.ts';
import { readManifest } from '../points.ts';
import { FORMAT_VERSION, KIND, openWhole, sealWhole, tagOf } from '../sealedObject.ts';

const count = z.number().int().nonnegative();
const positive = z.number().int().positive();

/** Runs of blocks that the state of one disk lists at most; where there are more, the nearest become one. */
export const MAX_RUNS = 2000;
/** Names of damaged objects that the state of one disk lists at most. */
export const MAX_OBJECTS = 500;

export const diskDamageSchema = z.strictObject({
  /** Number of the disk in the chain. */
  disk: count,
  /** Blocks that cannot be read. */
  blocks: positive,
  /** `[first, count]` in blocks: all that cannot be read, and more only where there are more than `MAX_RUNS` runs. */
  ranges: z
    .array(z.tuple([count, positive]))
    .min(1)
    .max(MAX_RUNS),
  /** The objects that are damaged or missing; `moreObjects` counts those beyond `MAX_OBJECTS`. */
  objects: z.array(z.string()).min(1).max(MAX_OBJECTS),
  moreObjects: count,
});
/** What cannot be read of one disk of a restore point. */
export type DiskDamage = z.infer<typeof diskDamageSchema>;

const stateSchema = z.strictObject({
  format: z.literal(FORMAT_VERSION),
  chain: chainIdSchema,
  sequence: positive,
  /** Rises with each change: an older one that was put back is told by it. */
  counter: positive,
  changedAt: z.iso.datetime(),
  /** While it is there (and not past its end), the point stays. */
  hold: holdSchema.nullable(),
  /** Overrides the manifest's retention; null: the manifest's applies. */
  retention: carriedRetentionSchema.nullable(),
  /** Disks that cannot be read whole; empty: none is known. */
  damage: z.array(diskDamageSchema),
});
/** What became of a restore point since it was committed. */
export type PointState = z.infer<typeof stateSchema>;
/** What a writer of the state decides. */
export type PointFacts = Pick<PointState, 'hold' | 'retention' | 'damage'>;

export interface StoredState extends PointState {
  readonly etag: string;
  /** Names exactly this version (hex). */
  readonly tag: string;
}

export const NO_FACTS: PointFacts = { hold: null, retention: null, damage: [] };

/** What a point says of its retention: its manifest, overridden by its state. */
export function retentionOf(
  manifest: { readonly retention: CarriedRetention | null },
  state: Pick<PointState, 'hold' | 'retention'> | null,
): PointRetention {
  const carried = state?.retention ?? manifest.retention ?? { flags: [], rules: null, expiresAt: null };
  return { ...carried, hold: state?.hold ?? null };
}

export interface ReadState {
  /**
   * The counter that the caller remembers (0: none). A state that is older, or missing, was rolled back:
   * `repositoryMismatch`. It matters for `hold` and `retention`, which nothing else can tell; damage is found again.
   */
  readonly atLeast?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Null while nothing was ever recorded. `corruptObject` when what is stored is not authentic. */
export async function readPointState(
  chain: Chain,
  sequence: number,
  { atLeast = 0, signal }: ReadState = {},
): Promise<StoredState | null> {
  const name = stateName(chain.id, sequence);
  const stored = await readIfThere(chain.repository.meta, name, signal);
  const state = stored && decode(chain, name, sequence, stored.bytes);
  refuseOlder(chain, sequence, state?.counter ?? 0, atLeast);
  return stored && state && { ...state, etag: stored.etag, tag: tagOf(stored.bytes) };
}

function refuseOlder(chain: Chain, sequence: number, counter: number, atLeast: number): void {
  if (counter >= atLeast) return;
  throw new HoldfastError(
    'repositoryMismatch',
    `The state of restore point ${chain.id}/${sequence} was rolled back from ${atLeast} to ${counter || 'nothing'}: a hold or a retention may be lost. Set it anew.`,
    { target: stateName(chain.id, sequence) },
  );
}

function decode(chain: Chain, name: string, sequence: number, bytes: Buffer): PointState {
  const plain = openWhole(chain.repository.keys.meta, { kind: KIND.state, chain: chain.id, name }, bytes);
  return decoding(name, 'the state', () => {
    const state = stateSchema.parse(JSON.parse(plain.toString('utf8')));
    if (state.chain !== chain.id || state.sequence !== sequence) throw new RangeError('is of another point');
    return state;
  });
}

export interface WriteState {
  readonly now: Date;
  /** The highest counter that the caller remembers: the new one is above it. */
  readonly above?: number | undefined;
  /** What is stored must not be older than this counter: `repositoryMismatch`, as for `readPointState`. */
  readonly atLeast?: number | undefined;
  /** A stored state that is not authentic: refuse (`corruptObject`, the default), or start from nothing, above `above`. */
  readonly unreadable?: 'refuse' | 'replace';
  readonly signal?: AbortSignal | undefined;
}

/**
 * Changes the state of a restore point. `change` gets what is stored (nothing at first) and may be called again, when
 * somebody else changed it meanwhile: no change is lost. Where nothing changes nothing is written. Returns what is stored
 * then; its counter is what the caller remembers. `missingObject` when the number holds no point (any more).
 */
export async function writePointState(
  chain: Chain,
  sequence: number,
  change: (facts: PointFacts) => PointFacts,
  { now, above = 0, atLeast = 0, unreadable = 'refuse', signal }: WriteState,
): Promise<PointState | null> {
  const { meta } = chain.repository;
  const name = stateName(chain.id, sequence);
  for (;;) {
    const found = await readIfThere(meta, name, signal);
    const current = found && readable(() => decode(chain, name, sequence, found.bytes), unreadable);
    refuseOlder(chain, sequence, current?.counter ?? 0, atLeast);
    const before: PointFacts = current
      ? { hold: current.hold, retention: current.retention, damage: current.damage }
      : NO_FACTS;
    const { hold, retention, damage } = change(before);
    const same = JSON.stringify({ hold, retention, damage }) === JSON.stringify(before);
    if (same && (current !== null || found === null)) return current;
    const manifest = (await readManifest(chain, sequence))?.manifest;
    if (manifest?.state !== 'point') throw missingObject(manifestName(chain.id, sequence), meta.name);
    const state = stateSchema.parse({
      format: FORMAT_VERSION,
      chain: chain.id,
      sequence,
      counter: Math.max(current?.counter ?? 0, above) + 1,
      changedAt: now.toISOString(),
      hold,
      retention,
      damage,
    });
    const plain = Buffer.from(JSON.stringify(state), 'utf8');
    const { bytes } = sealWhole(
      chain.repository.keys.meta,
      { kind: KIND.state, chain: chain.id, name },
      plain,
    );
    try {
      if (found) await meta.replace(name, bytes, found.etag, { signal });
      else if ((await createOnce(meta, name, bytes, signal)) === 'taken') continue;
      return state;
    } catch (error) {
      // Somebody else changed it, or an earlier try of this call arrived: what is stored then decides.
      if (!isHoldfastError(error, 'preconditionFailed') && !isHoldfastError(error, 'missingObject'))
        throw error;
    }
  }
}

function readable(read: () => PointState, unreadable: 'refuse' | 'replace'): PointState | null {
  try {
    return read();
  } catch (error) {
    if (unreadable === 'refuse' || !isHoldfastError(error, 'corruptObject')) throw error;
    return null;
  }
}
