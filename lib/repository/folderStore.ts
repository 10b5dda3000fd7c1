import { createHash, randomBytes } from 'node:crypto';
import type { BigIntStats } from 'node:fs';
import { link, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { HoldfastError } from '../model/index.ts';
import type { BlobCall, BlobContent, BlobInfo, BlobStore, BlobVersion } from './blobStore.ts';
import { missingObject } from './damage.ts';
import { alreadyExists, preconditionFailed } from './memoryStore.ts';

const SCRATCH = '.holdfast-scratch';
const LOCK_TRIES = 250;
const LOCK_WAIT_MS = 20;

/**
 * A container as a local folder: each object a file, so that a copy of a repository made with any tool can be read. A write
 * goes to a scratch file, is synced, and then gets its name in one step. What changes or removes an object holds a lock
 * file, which a crash may leave behind: the error names it.
 */
export class FolderBlobStore implements BlobStore {
  readonly name: string;
  readonly #root: string;

  constructor(root: string) {
    this.name = root;
    this.#root = root;
  }

  #path(name: string): string {
    const parts = name.split('/');
    if (
      parts.some((part) => part === '' || part.startsWith('.') || part.includes('\\') || part.includes('\0'))
    ) {
      throw new HoldfastError('invalidInput', `"${name}" cannot be the name of an object in a folder.`, {
        target: name,
      });
    }
    return join(this.#root, ...parts);
  }

  /** Writes a synced scratch file and hands its path to `publish`. */
  async #write(
    name: string,
    bytes: Uint8Array,
    publish: (scratch: string, path: string) => Promise<void>,
  ): Promise<BlobVersion> {
    const path = this.#path(name);
    const scratch = join(this.#root, SCRATCH, randomBytes(12).toString('hex'));
    await mkdir(dirname(path), { recursive: true });
    await mkdir(dirname(scratch), { recursive: true });
    try {
      const file = await open(scratch, 'wx');
      try {
        await file.writeFile(bytes);
        await file.sync();
      } finally {
        await file.close();
      }
      await publish(scratch, path);
    } finally {
      await rm(scratch, { force: true });
    }
    await syncFolder(dirname(path));
    const info = await this.stat(name);
    if (!info) throw missingObject(name, this.name);
    return { etag: info.etag, lastModified: info.lastModified };
  }

  async #locked<T>(name: string, act: () => Promise<T>): Promise<T> {
    const lock = join(
      this.#root,
      SCRATCH,
      `${createHash('sha256').update(name).digest('hex').slice(0, 24)}.lock`,
    );
    await mkdir(dirname(lock), { recursive: true });
    for (let tries = 0; ; tries++) {
      try {
        await (await open(lock, 'wx')).close();
        break;
      } catch (error) {
        if (codeOf(error) !== 'EEXIST') throw error;
        if (tries === LOCK_TRIES) {
          throw new HoldfastError(
            'unavailable',
            `${name} is locked in ${this.name}. If no program is using the folder, delete ${lock}.`,
            {
              target: name,
            },
          );
        }
        await new Promise((resolve) => setTimeout(resolve, LOCK_WAIT_MS));
      }
    }
    try {
      return await act();
    } finally {
      await rm(lock, { force: true });
    }
  }

  /** Runs one call; a failure of the file system becomes one of ours. */
  async #call<T>(name: string, options: BlobCall | undefined, act: () => Promise<T>): Promise<T> {
    options?.signal?.throwIfAborted();
    try {
      return await act();
    } catch (error) {
      throw translate(name, this.name, error);
    }
  }

  create(name: string, bytes: Uint8Array, options?: BlobCall): Promise<BlobVersion> {
    return this.#call(name, options, () => this.#create(name, bytes));
  }

  replace(name: string, bytes: Uint8Array, etag: string, options?: BlobCall): Promise<BlobVersion> {
    return this.#call(name, options, () => this.#replace(name, bytes, etag));
  }

  read(name: string, range?: { offset: number; length: number }, options?: BlobCall): Promise<BlobContent> {
    return this.#call(name, options, () => this.#read(name, range));
  }

  stat(name: string, options?: BlobCall): Promise<BlobInfo | null> {
    return this.#call(name, options, () => this.#stat(name));
  }

  remove(name: string, etag?: string, options?: BlobCall): Promise<void> {
    return this.#call(name, options, () => this.#remove(name, etag));
  }

  #create(name: string, bytes: Uint8Array): Promise<BlobVersion> {
    return this.#write(name, bytes, async (scratch, path) => {
      try {
        await link(scratch, path);
      } catch (error) {
        throw codeOf(error) === 'EEXIST' ? alreadyExists(name, this.name) : error;
      }
    });
  }

  #replace(name: string, bytes: Uint8Array, etag: string): Promise<BlobVersion> {
    return this.#locked(name, async () => {
      if ((await this.stat(name))?.etag !== etag) throw preconditionFailed(name, this.name);
      return this.#write(name, bytes, rename);
    });
  }

  async #read(name: string, range?: { offset: number; length: number }): Promise<BlobContent> {
    const file = await open(this.#path(name));
    try {
      const info = infoOf(name, await file.stat({ bigint: true }));
      const offset = Math.min(range?.offset ?? 0, info.size);
      const bytes = Buffer.allocUnsafe(Math.min(range?.length ?? info.size, info.size - offset));
      let filled = 0;
      while (filled < bytes.length) {
        const { bytesRead } = await file.read(bytes, filled, bytes.length - filled, offset + filled);
        if (bytesRead === 0) break;
        filled += bytesRead;
      }
      return { ...info, bytes: bytes.subarray(0, filled) };
    } finally {
      await file.close();
    }
  }

  async #stat(name: string): Promise<BlobInfo | null> {
    try {
      const found = await stat(this.#path(name), { bigint: true });
      return found.isFile() ? infoOf(name, found) : null;
    } catch (error) {
      if (isMissing(error)) return null;
      throw error;
    }
  }

  async *list(prefix: string, options?: BlobCall): AsyncIterable<BlobInfo> {
    yield* this.#walk('', prefix, options?.signal);
  }

  async *#walk(folder: string, prefix: string, signal?: AbortSignal): AsyncIterable<BlobInfo> {
    signal?.throwIfAborted();
    const entries = await readdir(join(this.#root, folder), { withFileTypes: true }).catch(
      (error: unknown) => {
        if (isMissing(error)) return [];
        throw error;
      },
    );
    // A folder sorts as its name with a slash: that gives the order of whole names.
    const names = entries
      .filter((entry) => !entry.name.startsWith('.'))
      .map((entry) => `${folder}${entry.name}${entry.isDirectory() ? '/' : ''}`)
      .filter((name) => name.startsWith(prefix) || (name.endsWith('/') && prefix.startsWith(name)))
      .sort();
    for (const name of names) {
      if (name.endsWith('/')) {
        yield* this.#walk(name, prefix, signal);
        continue;
      }
      const info = await this.stat(name);
      if (info) yield info;
    }
  }

  async #remove(name: string, etag?: string): Promise<void> {
    await this.#locked(name, async () => {
      if (etag !== undefined) {
        const info = await this.stat(name);
        if (info && info.etag !== etag) throw preconditionFailed(name, this.name);
      }
      await rm(this.#path(name), { force: true });
    });
  }
}

const infoOf = (name: string, found: BigIntStats): BlobInfo => ({
  name,
  size: Number(found.size),
  etag: `"${found.ino.toString(36)}-${found.mtimeNs.toString(36)}-${found.size.toString(36)}"`,
  lastModified: found.mtime,
});

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/** What the file system says, as the contract of `BlobStore` wants it. */
function translate(name: string, where: string, error: unknown): unknown {
  const code = codeOf(error);
  if (error instanceof HoldfastError || typeof code !== 'string') return error;
  if (isMissing(error)) return missingObject(name, where);
  const kind = code === 'EACCES' || code === 'EPERM' || code === 'EROFS' ? 'accessDenied' : 'unavailable';
  return new HoldfastError(kind, `${name} in ${where}: ${(error as Error).message}.`, {
    target: name,
    cause: error,
  });
}

const codeOf = (error: unknown): unknown => (error as { code?: unknown }).code;
const isMissing = (error: unknown): boolean => codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR';
