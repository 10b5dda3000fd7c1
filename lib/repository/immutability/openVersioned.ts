import { isHoldfastError } from '../../model/index.ts';
import type { BlobStore } from '../blobStore.ts';
import { missingObject } from '../damage.ts';
import { descriptorSchema } from '../descriptor.ts';
import { readDocument } from '../document.ts';
import { DESCRIPTOR } from '../names.ts';
import { type OpenRepository, openRepository, type Repository } from '../repository.ts';
import { judgeBy } from './judge.ts';
import type { LockableStore } from './lockableStore.ts';
import { VersionedView } from './versionedView.ts';

/**
 * Opens a repository whose containers keep versions: with the authentic descriptor of the highest counter, whatever was put
 * on top of it, and with containers that show the versions that count. Throws as `openRepository` does.
 */
export async function openVersioned(
  request: OpenRepository & { readonly meta: LockableStore; readonly data: LockableStore },
): Promise<Repository> {
  const { meta, data } = request;
  const candidates: { readonly bytes: Buffer; readonly counter: number }[] = [];
  let refused: unknown = missingObject(DESCRIPTOR, meta.name);
  for await (const { name, version } of meta.listVersions(DESCRIPTOR)) {
    if (name !== DESCRIPTOR) continue;
    const { bytes } = await meta.readVersion(name, version);
    try {
      candidates.push({ bytes, counter: readDocument(DESCRIPTOR, bytes, descriptorSchema).counter });
    } catch (error) {
      if (!isHoldfastError(error, 'corruptObject')) throw error;
      refused = error;
    }
  }
  candidates.sort((a, b) => b.counter - a.counter);
  let told = false;
  for (const { bytes } of candidates) {
    try {
      const opened = await openRepository({ ...request, meta: withDescriptor(meta, bytes) });
      const judge = judgeBy(opened.keys);
      return { ...opened, meta: new VersionedView(meta, judge), data: new VersionedView(data, judge) };
    } catch (error) {
      // A forged one, or one of before a password was changed. The newest one's refusal is what a person is told.
      if (!isHoldfastError(error) || error.retryable) throw error;
      if (!told) refused = error;
      told = true;
    }
  }
  throw refused;
}

/** The container with a certain descriptor in it, for reading. */
function withDescriptor(meta: BlobStore, bytes: Buffer): BlobStore {
  const info = { name: DESCRIPTOR, size: bytes.length, etag: '"version"', lastModified: new Date(0) };
  return {
    name: meta.name,
    create: (...args) => meta.create(...args),
    replace: (...args) => meta.replace(...args),
    read: (name, range, options) =>
      name === DESCRIPTOR ? Promise.resolve({ ...info, bytes }) : meta.read(name, range, options),
    stat: (name, options) => (name === DESCRIPTOR ? Promise.resolve(info) : meta.stat(name, options)),
    list: (...args) => meta.list(...args),
    remove: (...args) => meta.remove(...args),
  };
}
