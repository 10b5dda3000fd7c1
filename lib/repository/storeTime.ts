import { randomBytes } from 'node:crypto';
import { LEASES } from './names.ts';
import type { Repository } from './repository.ts';

/** The store's clock: what it says of an object written now. Rules of age compare its times with each other, never with ours. */
export async function storeTime({ meta }: Pick<Repository, 'meta'>): Promise<Date> {
  const name = `${LEASES}time-${randomBytes(8).toString('hex')}`;
  const { lastModified } = await meta.create(name, Buffer.alloc(0));
  await meta.remove(name);
  return lastModified;
}
