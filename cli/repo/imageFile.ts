import { type FileHandle, open, rename, rm, stat } from 'node:fs/promises';
import { type ErrorCode, HoldfastError, KiB } from '../../lib/model/index.ts';
import type { DiskBlock } from '../../lib/repository/index.ts';
import type { Image, ImageShape } from './image.ts';

/** Zeros are left out in pieces of this size: a hole costs nothing, a write of 4 KiB costs a call. */
const HOLE_BYTES = 32 * KiB;
const ZEROS = Buffer.alloc(HOLE_BYTES);

/**
 * A disk as a sparse file. It grows under `<file>.partial` and gets its name when it is complete, so that a file of that
 * name is always a whole disk.
 */
export class ImageFile implements Image {
  readonly #path: string;
  readonly #partial: string;
  readonly #file: FileHandle;
  readonly #shape: ImageShape;
  readonly #keep: boolean;

  private constructor(path: string, file: FileHandle, shape: ImageShape, keep: boolean) {
    this.#path = path;
    this.#partial = partialOf(path);
    this.#file = file;
    this.#shape = shape;
    this.#keep = keep;
  }

  /** Throws `alreadyExists` for a file that is there, unless `force`; `invalidInput` for what is no file. */
  static async create(
    path: string,
    shape: ImageShape,
    options: { readonly force: boolean; readonly keep: boolean },
  ): Promise<ImageFile> {
    const there = await stat(path).catch(() => null);
    if (there && !there.isFile()) {
      throw new HoldfastError(
        'invalidInput',
        `${path} is not a regular file. To write to a device, restore to - and pipe it there.`,
        { target: path },
      );
    }
    if (there && !options.force) {
      throw new HoldfastError('alreadyExists', `${path} exists. Choose another name, or give --force.`, {
        target: path,
      });
    }
    const partial = partialOf(path);
    const file = await open(partial, options.force ? 'w' : 'wx').catch((error: unknown) => {
      throw fileError(partial, error);
    });
    const image = new ImageFile(path, file, shape, options.keep);
    try {
      await file.truncate(shape.sizeBytes + shape.footer.length);
    } catch (error) {
      await image.discard();
      throw fileError(partial, error);
    }
    return image;
  }

  async write(run: readonly DiskBlock[]): Promise<void> {
    const { sizeBytes, blockBytes } = this.#shape;
    for (const { block, bytes } of run) {
      const offset = block * blockBytes;
      const inside = bytes.subarray(0, Math.min(bytes.length, sizeBytes - offset));
      for (const [from, to] of dataRanges(inside)) await this.#put(inside.subarray(from, to), offset + from);
    }
  }

  async finish(): Promise<void> {
    const { sizeBytes, footer } = this.#shape;
    await this.#put(footer, sizeBytes);
    try {
      await this.#file.sync();
      await this.#file.close();
      await rename(this.#partial, this.#path);
    } catch (error) {
      throw fileError(this.#partial, error);
    }
  }

  async discard(): Promise<string> {
    await this.#file.close().catch(() => undefined);
    if (this.#keep) return `What was restored so far is in ${this.#partial}; it is not a whole disk.`;
    await rm(this.#partial, { force: true });
    return `Nothing was left in ${this.#path}.`;
  }

  async #put(bytes: Buffer, offset: number): Promise<void> {
    try {
      for (let at = 0; at < bytes.length; ) {
        at += (await this.#file.write(bytes, at, bytes.length - at, offset + at)).bytesWritten;
      }
    } catch (error) {
      throw fileError(this.#partial, error);
    }
  }
}

const partialOf = (path: string): string => `${path}.partial`;

/** The stretches of a block that are not zeros, by pieces of `HOLE_BYTES`. */
function* dataRanges(bytes: Buffer): Iterable<readonly [from: number, to: number]> {
  let from = -1;
  for (let at = 0; at < bytes.length; at += HOLE_BYTES) {
    const piece = bytes.subarray(at, at + HOLE_BYTES);
    const empty = piece.equals(piece.length === HOLE_BYTES ? ZEROS : ZEROS.subarray(0, piece.length));
    if (empty && from >= 0) yield [from, at];
    if (empty) from = -1;
    else if (from < 0) from = at;
  }
  if (from >= 0) yield [from, bytes.length];
}

const CODES: Readonly<Record<string, readonly [ErrorCode, string]>> = {
  ENOENT: ['invalidInput', 'its folder does not exist.'],
  ENOTDIR: ['invalidInput', 'its folder does not exist.'],
  EACCES: ['forbidden', 'it may not be written.'],
  EPERM: ['forbidden', 'it may not be written.'],
  EROFS: ['forbidden', 'the file system is read-only.'],
  ENOSPC: ['unavailable', 'the file system is full.'],
  EDQUOT: ['unavailable', 'the quota is used up.'],
  EFBIG: ['unavailable', 'the file system does not hold files of this size.'],
  EEXIST: [
    'alreadyExists',
    'it exists: another restore writes it, or one was killed. Delete it, or give --force.',
  ],
};

function fileError(path: string, error: unknown): HoldfastError {
  const [code, text] = CODES[String((error as NodeJS.ErrnoException).code)] ?? [
    'unavailable' as const,
    `${error instanceof Error ? error.message : String(error)}.`,
  ];
  return new HoldfastError(code, `${path}: ${text}`, { target: path, cause: error, retryable: false });
}
