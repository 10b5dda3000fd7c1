import { z } from 'zod';
import { chainIdSchema, isHoldfastError } from '../../model/index.ts';
import type { Chain } from '../chain.ts';
import { createOnce, readIfThere } from '../createOnce.ts';
import { decoding } from '../damage.ts';
import { verifiedName } from '../names.ts';
import { FORMAT_VERSION, KIND, openWhole, sealWhole } from '../sealedObject.ts';

/** Stretches that a record tells apart at most; where there are more, neighbours of nearly the same time become one. */
const MAX_MARKS = 256;

const markSchema = z.strictObject({ upTo: z.string(), at: z.iso.datetime() });

const verifiedSchema = z.strictObject({
  format: z.literal(FORMAT_VERSION),
  chain: chainIdSchema,
  counter: z.number().int().positive(),
  /** Name of the pack object that was verified last; null: verification begins (again) with the first. */
  cursor: z.string().nullable(),
  /**
   * In the order of names: the pack objects from the mark before (exclusive) up to `upTo` (inclusive) were verified at `at`
   * or later. What lies behind the last mark never was.
   */
  marks: z.array(markSchema).max(MAX_MARKS),
});
/** What rolling verification has covered of a chain, and when: by names of pack objects, which sort by age. */
export type Verified = Pick<z.infer<typeof verifiedSchema>, 'cursor' | 'marks'>;
export type StoredVerified = Verified & { readonly counter: number; readonly etag: string };

export const NOTHING_VERIFIED: Verified = { cursor: null, marks: [] };

/** Null where there is none: verification starts from the beginning. `corruptObject` when it is not authentic. */
export async function readVerified(chain: Chain, signal?: AbortSignal): Promise<StoredVerified | null> {
  const name = verifiedName(chain.id);
  const stored = await readIfThere(chain.repository.meta, name, signal);
  if (!stored) return null;
  const { meta } = chain.repository.keys;
  const plain = openWhole(meta, { kind: KIND.verified, chain: chain.id, name }, stored.bytes);
  const { counter, cursor, marks } = decoding(name, 'the record', () =>
    verifiedSchema.parse(JSON.parse(plain.toString('utf8'))),
  );
  return { counter, cursor, marks, etag: stored.etag };
}

/**
 * Stores what was covered, in the place of the record with this etag (null: of none). Null when somebody else stored theirs
 * meanwhile: then nothing is lost but the knowledge of work that was done twice.
 */
export async function writeVerified(
  chain: Chain,
  verified: Verified,
  before: { readonly counter: number; readonly etag: string } | null,
  signal?: AbortSignal,
): Promise<StoredVerified | null> {
  const { meta, keys } = chain.repository;
  const name = verifiedName(chain.id);
  const counter = (before?.counter ?? 0) + 1;
  const record = { format: FORMAT_VERSION, chain: chain.id, counter, ...verified };
  const plain = Buffer.from(JSON.stringify(record), 'utf8');
  const { bytes } = sealWhole(keys.meta, { kind: KIND.verified, chain: chain.id, name }, plain);
  try {
    if (before) {
      const { etag } = await meta.replace(name, bytes, before.etag, { signal });
      return { ...verified, counter, etag };
    }
    if ((await createOnce(meta, name, bytes, signal)) === 'taken') return null;
    const stat = await meta.stat(name, { signal });
    return stat && { ...verified, counter, etag: stat.etag };
  } catch (error) {
    if (isHoldfastError(error, 'preconditionFailed') || isHoldfastError(error, 'missingObject')) return null;
    throw error;
  }
}

/** When the pack object of this name was last verified: at this time or later. Null: never. */
export function verifiedAt({ marks }: Verified, name: string): Date | null {
  const mark = marks.find(({ upTo }) => name <= upTo);
  return mark ? new Date(mark.at) : null;
}

/** The pack objects after the cursor up to `name` were verified since `at`. Pure. */
export function advance(verified: Verified, name: string, at: Date): Verified {
  const { cursor } = verified;
  const before = verified.marks.filter(({ upTo }) => cursor !== null && upTo <= cursor);
  const after = verified.marks.filter(({ upTo }) => upTo > name);
  return { cursor: name, marks: bounded([...before, { upTo: name, at: at.toISOString() }, ...after], name) };
}

/** The last one was reached: the next round begins with the first. Pure. */
export const endRound = ({ cursor, marks }: Verified): Verified => ({
  cursor: null,
  // Behind the last pack there is nothing (any more).
  marks: cursor === null ? [] : marks.filter(({ upTo }) => upTo <= cursor),
});

/** Never joins what was covered in this round with what was not. */
function bounded(marks: Verified['marks'], cursor: string): Verified['marks'] {
  const kept = [...marks];
  while (kept.length > MAX_MARKS) {
    let nearest = { i: -1, gap: Infinity };
    for (let i = 1; i < kept.length; i++) {
      const [one, other] = [kept[i - 1], kept[i]];
      if (!one || !other || one.upTo === cursor) continue;
      const gap = Math.abs(Date.parse(other.at) - Date.parse(one.at));
      if (gap < nearest.gap) nearest = { i, gap };
    }
    const [one, other] = [kept[nearest.i - 1], kept[nearest.i]];
    if (!one || !other) break;
    kept.splice(nearest.i - 1, 2, { upTo: other.upTo, at: one.at < other.at ? one.at : other.at });
  }
  return kept;
}
