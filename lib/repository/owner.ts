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

/** An owner that says so again no sooner leaves the object alone. */
const SEEN_EVERY_MS = 3_600_000;

/** The owner as it is stored. */
export interface StoredOwner extends Owner {
  readonly etag: string;
  /** When the owner last said that it is there, by the store's clock; exact to about an hour. */
  readonly seenAt: Date;
}

/** Null when nobody has claimed the repository yet. */
export async function readOwner(repository: Repository): Promise<StoredOwner | null> {
  return (await readStored(repository))?.owner ?? null;
}

async function readStored({ meta, keys }: Repository): Promise<{ owner: StoredOwner; bytes: Buffer } | null> {
  const stored = await readIfThere(meta, OWNER);
  if (!stored) return null;
  authenticateDocument(keys.document, OWNER, stored.bytes);
  const { bytes, etag, lastModified: seenAt } = stored;
  return { owner: { ...readDocument(OWNER, bytes, ownerSchema), etag, seenAt }, bytes };
}

/**
 * Makes `installation` the owner, if there is none or it is already; an owner writes the same bytes again once an hour, so
 * that the store's clock says when it was last seen. Another owner is `notOwner`, unless `takeOver` is true or names that
 * very one: then the other installation finds itself fenced at its next check.
 */
export async function takeOwnership(
  repository: Repository,
  { installation, now, takeOver = false }: { installation: string; now: Date; takeOver?: boolean | string },
): Promise<Owner> {
  const { meta, keys } = repository;
  for (;;) {
    const stored = await readStored(repository);
    const current = stored?.owner ?? null;
    if (stored && current?.installation === installation) {
      if (now.getTime() - current.seenAt.getTime() < SEEN_EVERY_MS) return current;
      if (await writeAgain(stored.bytes, current.etag)) return current;
      continue;
    }
    if (current && takeOver !== true && takeOver !== current.installation)
      throw belongsTo(repository, current, takeOver);
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

  async function writeAgain(bytes: Buffer, etag: string): Promise<boolean> {
    try {
      await meta.replace(OWNER, bytes, etag);
      return true;
    } catch (error) {
      if (isHoldfastError(error, 'preconditionFailed')) return false;
      throw error;
    }
  }
}

function belongsTo(
  { meta }: Repository,
  { installation, since, seenAt }: StoredOwner,
  named: boolean | string,
): HoldfastError {
  const other =
    typeof named === 'string' ? ` It was to be taken over from ${named}, which does not own it.` : '';
  return new HoldfastError(
    'notOwner',
    `The repository in ${meta.name} belongs to installation ${installation} since ${since}, last seen ${seenAt.toISOString()}.${other} ` +
      `Take it over from ${installation} explicitly if that one is gone.`,
    { target: OWNER },
  );
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
