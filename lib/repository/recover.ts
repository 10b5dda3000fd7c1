import { isHoldfastError } from '../model/index.ts';
import { listChains, openChain, readChainDocument } from './chain.ts';
import { createOnce, readIfThere } from './createOnce.ts';
import { missingObject } from './damage.ts';
import { type Descriptor, unlockSlots } from './descriptor.ts';
import { encodeDocument } from './document.ts';
import { deriveKeys } from './keys.ts';
import { DESCRIPTOR } from './names.ts';
import { type OpenRepository, openRepository, type Repository, refuseOther } from './repository.ts';
import { FORMAT_VERSION } from './sealedObject.ts';

/** A repository that was opened with the copy of the slots that a chain carries. */
export interface OpenedFromChain {
  readonly repository: Repository;
  readonly chain: string;
}

/**
 * Opens a repository without its descriptor, for reading: with the key slots that its newest chain carries, of those that
 * `unlock` opens. A slot that was changed since a chain began is there as it was then: an older password may open it.
 *
 * Throws `missingObject` when there is no chain, `wrongPassword` (or what the vault said) when none opens, and
 * `repositoryMismatch` when what is there is not the remembered repository. The counter is that of `remembered`, or 0: a
 * chain does not tell it.
 */
export async function openFromChain(request: OpenRepository): Promise<OpenedFromChain> {
  const { meta, data, unlock, remembered } = request;
  let newest: (OpenedFromChain & { readonly createdAt: string }) | null = null;
  let refused: unknown = missingObject(DESCRIPTOR, meta.name);
  for await (const chain of listChains({ meta })) {
    try {
      const { document, authenticate } = await readChainDocument(meta, chain);
      const { id, mode, slots } = document.repository;
      refuseOther(meta, { id, mode }, remembered);
      const keys = deriveKeys(await unlockSlots({ id, mode, slots }, unlock, meta.name), id);
      authenticate(keys.document);
      refuseOther(meta, { id, mode, fingerprint: keys.fingerprint }, remembered);
      const repository = { id, mode, counter: remembered?.counter ?? 0, slots, keys, meta, data };
      const { createdAt } = await openChain(repository, chain);
      if (!newest || createdAt > newest.createdAt) newest = { repository, chain, createdAt };
    } catch (error) {
      // Of another time, of another repository, or damaged: another chain may do.
      if (!isHoldfastError(error) || error.retryable) throw error;
      refused = error;
    }
  }
  if (newest) return { repository: newest.repository, chain: newest.chain };
  throw refused;
}

/**
 * Makes a lost descriptor again from the newest chain's copy of the key slots (see `openFromChain`), and opens the repository.
 * Where there is a descriptor it opens it; a damaged one is replaced only if `replaceDamaged` says so. Without `remembered`
 * the counter begins again, and an installation that knows a higher one refuses the repository until it is registered anew.
 */
export async function recoverDescriptor(
  request: OpenRepository & { readonly now: Date; readonly replaceDamaged?: boolean },
): Promise<Repository> {
  const { meta, now, replaceDamaged = false } = request;
  const there = await readIfThere(meta, DESCRIPTOR);
  if (there) {
    try {
      return await openRepository(request);
    } catch (error) {
      if (!replaceDamaged || !isHoldfastError(error, 'corruptObject') || error.target !== DESCRIPTOR)
        throw error;
    }
  }
  const { repository } = await openFromChain(request);
  const { id, mode, slots, keys } = repository;
  const descriptor: Descriptor = {
    format: FORMAT_VERSION,
    id,
    mode,
    counter: repository.counter + 1,
    createdAt: now.toISOString(),
    slots: [...slots],
  };
  const bytes = encodeDocument(keys.document, DESCRIPTOR, descriptor);
  if (!there) await createOnce(meta, DESCRIPTOR, bytes);
  else {
    try {
      await meta.replace(DESCRIPTOR, bytes, there.etag);
    } catch (error) {
      // Somebody else repaired it, or an earlier try of this write arrived: what is there now must open.
      if (!isHoldfastError(error, 'preconditionFailed')) throw error;
    }
  }
  return openRepository(request);
}
