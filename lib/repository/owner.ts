import { z } from 'zod';
import { HoldfastError, isHoldfastError } from '../model/index.ts';
import { createOnce, readIfThere } from './createOnce.ts';
import { authenticateDocument, encodeDocument, readDocument } from './document.ts';
import { OWNER } from './names.ts';
import type { Repository } from './repository.ts';

/** Which installation's retention and collection run on this repository. */
const ownerSchema = z.strictObject({
  installation: z.string().min(1),
  since: z.iso.datetime(),
  /** Rises with each change of owner. */
  counter: z.number().int().positive(),
});
export type Owner = z.infer<typeof ownerSchema>;

/** Null when nobody has claimed the repository yet. */
export async function readOwner({ meta, keys }: Repository): Promise<(Owner & { etag: string }) | null> {
  const stored = await readIfThere(meta, OWNER);
  if (!stored) return null;
  authenticateDocument(keys.document, OWNER, stored.bytes);
  return { ...readDocument(OWNER, stored.bytes, ownerSchema), etag: stored.etag };
}

/**
 * Makes `installation` the owner, if there is none or it is already. Another owner is `notOwner`, unless `takeOver`: then
 * the other installation finds itself fenced at its next check.
 */
export async function takeOwnership(
  repository: Repository,
  { installation, now, takeOver = false }: { installation: string; now: Date; takeOver?: boolean },
): Promise<Owner> {
  const { meta, keys } = repository;
  for (;;) {
    const current = await readOwner(repository);
    if (current?.installation === installation) return current;
    if (current && !takeOver) {
      throw new HoldfastError(
        'notOwner',
        `The repository in ${meta.name} belongs to installation ${current.installation} since ${current.since}. Take it over explicitly if that one is gone.`,
        { target: OWNER },
      );
    }
    const owner = { installation, since: now.toISOString(), counter: (current?.counter ?? 0) + 1 };
    const bytes = encodeDocument(keys.document, OWNER, owner);
    try {
      if (current) await meta.replace(OWNER, bytes, current.etag);
      else if ((await createOnce(meta, OWNER, bytes)) === 'taken') continue;
      return owner;
    } catch (error) {
      if (!isHoldfastError(error, 'preconditionFailed')) throw error;
    }
  }
}

/**
 * The fence: throws `notOwner` unless the repository still belongs to `owner` (as `takeOwnership` returned it), in the same
 * term. Called before each batch of writes that only the owner may make (retention, collection): a check and a write are two
 * calls, so the installation that was taken over may finish the batch that it is in, and none after it.
 */
export async function assertOwner(
  repository: Repository,
  owner: Pick<Owner, 'installation' | 'counter'>,
): Promise<void> {
  const current = await readOwner(repository);
  if (current?.installation === owner.installation && current.counter === owner.counter) return;
  const now = current ? `installation ${current.installation} since ${current.since}` : 'nobody';
  throw new HoldfastError(
    'notOwner',
    `The repository in ${repository.meta.name} was taken over: it belongs to ${now}. Installation ${owner.installation} stops retention and collection there.`,
    { target: OWNER },
  );
}
