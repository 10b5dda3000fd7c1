import { isHoldfastError } from '../model/index.ts';
import { listChains, readChainDocument } from './chain.ts';
import { createOnce } from './createOnce.ts';
import { missingObject } from './damage.ts';
import { type Descriptor, unlockSlots } from './descriptor.ts';
import { encodeDocument } from './document.ts';
import { deriveKeys } from './keys.ts';
import { DESCRIPTOR } from './names.ts';
import { type OpenRepository, openRepository, type Repository } from './repository.ts';
import { FORMAT_VERSION } from './sealedObject.ts';

/**
 * Makes a lost descriptor again from the copy of the key slots that each chain carries, and opens the repository. A slot
 * that was changed since a chain began is there as it was then: an older password may open it. `missingObject` when there
 * is no chain, `wrongPassword` when the password opens the slots of none. Does nothing where there is a descriptor.
 */
export async function recoverDescriptor(
  request: OpenRepository & { readonly now: Date },
): Promise<Repository> {
  const { meta, unlock, remembered, now } = request;
  let refused: unknown = missingObject(DESCRIPTOR, meta.name);
  if (await meta.stat(DESCRIPTOR)) return openRepository(request);
  for await (const chain of listChains({ meta })) {
    try {
      const { document, authenticate } = await readChainDocument(meta, chain);
      const { id, mode, slots } = document.repository;
      const keys = deriveKeys(await unlockSlots({ id, mode, slots }, unlock, meta.name), id);
      authenticate(keys.document);
      const counter = (remembered?.counter ?? 0) + 1;
      const descriptor: Descriptor = {
        format: FORMAT_VERSION,
        id,
        mode,
        counter,
        createdAt: now.toISOString(),
        slots,
      };
      await createOnce(meta, DESCRIPTOR, encodeDocument(keys.document, DESCRIPTOR, descriptor));
      return await openRepository(request);
    } catch (error) {
      if (!isHoldfastError(error, 'wrongPassword') && !isHoldfastError(error, 'corruptObject')) throw error;
      refused = error;
    }
  }
  throw refused;
}
