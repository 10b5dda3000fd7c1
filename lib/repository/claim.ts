import { z } from 'zod';
import { HoldfastError, isHoldfastError } from '../model/index.ts';
import type { Chain } from './chain.ts';
import { createOnce, readIfThere } from './createOnce.ts';
import { decoding } from './damage.ts';
import { highestSequence } from './highestSequence.ts';
import { claimName, parsePointName, pointsPrefix } from './names.ts';
import { KIND, openWhole, sealWhole } from './sealedObject.ts';

/** A claim that was not renewed for so long may be ended by anyone: milliseconds of the store's clock. */
export const CLAIM_EXPIRES_MS = 60 * 60 * 1000;

export const claimSchema = z.strictObject({
  sequence: z.number().int().positive(),
  installation: z.string(),
  session: z.string(),
  epoch: z.number().int().nonnegative(),
  /** The point that the session's point will be made from: collection keeps it. */
  parent: z.number().int().positive().nullable(),
});
/** A session's hold on a number of the chain. */
export type Claim = z.infer<typeof claimSchema>;

export interface StoredClaim extends Claim {
  readonly etag: string;
  /** When it was last renewed, by the store's clock. */
  readonly renewedAt: Date;
}

const seal = (chain: Chain, claim: Claim): Buffer => {
  const binding = { kind: KIND.claim, chain: chain.id, name: claimName(chain.id, claim.sequence) };
  return sealWhole(chain.repository.keys.meta, binding, Buffer.from(JSON.stringify(claim), 'utf8')).bytes;
};

/** Null when the number was never claimed, or its claim was collected. */
export async function readClaim(chain: Chain, sequence: number): Promise<StoredClaim | null> {
  const name = claimName(chain.id, sequence);
  const stored = await readIfThere(chain.repository.meta, name);
  if (!stored) return null;
  const plain = openWhole(
    chain.repository.keys.meta,
    { kind: KIND.claim, chain: chain.id, name },
    stored.bytes,
  );
  const claim = decoding(name, 'the claim', () => claimSchema.parse(JSON.parse(plain.toString('utf8'))));
  return { ...claim, etag: stored.etag, renewedAt: stored.lastModified };
}

/**
 * Takes the next number of the chain for a session. May be called again: a session that has an undecided claim gets that
 * one, under the new epoch. Throws `claimLost` when its claim is held under a higher epoch.
 */
export async function claimSequence(chain: Chain, request: Omit<Claim, 'sequence'>): Promise<Claim> {
  const own = await findOpenClaim(chain, request.session);
  if (own) return renewClaim(chain, { ...request, parent: own.parent, sequence: own.sequence });
  for (;;) {
    const claim: Claim = { ...request, sequence: (await highestSequence(chain)) + 1 };
    const name = claimName(chain.id, claim.sequence);
    if ((await createOnce(chain.repository.meta, name, seal(chain, claim))) === 'created') return claim;
    // Somebody took the number between the listing and the create; perhaps this session's other run.
    const there = await readClaim(chain, claim.sequence);
    if (there?.session === request.session) return renewClaim(chain, { ...claim, parent: there.parent });
  }
}

async function findOpenClaim(chain: Chain, session: string): Promise<StoredClaim | null> {
  for (const sequence of await openSequences(chain)) {
    const claim = await readClaim(chain, sequence);
    if (claim?.session === session) return claim;
  }
  return null;
}

/** Numbers that are claimed and undecided, ascending. */
export async function openSequences({ id, repository }: Chain): Promise<number[]> {
  const claimed: number[] = [];
  const decided = new Set<number>();
  for await (const { name } of repository.meta.list(pointsPrefix(id))) {
    const point = parsePointName(name);
    if (point?.kind === 'manifest') decided.add(point.sequence);
    if (point?.kind === 'session') claimed.push(point.sequence);
  }
  return claimed.filter((sequence) => !decided.has(sequence));
}

/** Shows that the session lives. `claimLost` when the claim is gone, or another session's, or held under a higher epoch. */
export async function renewClaim(chain: Chain, claim: Claim): Promise<Claim> {
  const name = claimName(chain.id, claim.sequence);
  for (;;) {
    const stored = await holdClaim(chain, claim, 'atMost');
    try {
      const next = { ...claim, parent: stored.parent };
      await chain.repository.meta.replace(name, seal(chain, next), stored.etag);
      return next;
    } catch (error) {
      if (!isHoldfastError(error, 'preconditionFailed') && !isHoldfastError(error, 'missingObject'))
        throw error;
    }
  }
}

/** Reads the claim and throws `claimLost` unless it is this session's, at exactly (or at most) this epoch. */
export async function holdClaim(
  chain: Chain,
  claim: Pick<Claim, 'sequence' | 'session' | 'epoch'>,
  epoch: 'exactly' | 'atMost',
): Promise<StoredClaim> {
  const stored = await readClaim(chain, claim.sequence);
  if (stored?.session === claim.session) {
    if (epoch === 'exactly' ? stored.epoch === claim.epoch : stored.epoch <= claim.epoch) return stored;
  }
  const who = stored ? `session ${stored.session}, epoch ${stored.epoch}` : 'nobody';
  throw claimLost(chain, claim.sequence, `it is held by ${who}`);
}

export const claimLost = (chain: Chain, sequence: number, why: string): HoldfastError =>
  new HoldfastError(
    'claimLost',
    `Number ${sequence} of chain ${chain.id} is no longer this session's: ${why}.`,
    {
      target: `${chain.id}/${sequence}`,
    },
  );
