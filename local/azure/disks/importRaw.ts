/** Raw disk images into the store. */
import { type FileHandle, open } from 'node:fs/promises';
import { PAGE_BYTES } from './content.ts';
import type { DiskStore } from './types.ts';

const BUFFER_BYTES = 4 * 1024 * 1024;
const ZERO_PAGE = Buffer.alloc(PAGE_BYTES);

/**
 * Copies a raw image to the start of the disk `id`, page by page, without the pages that are all zeros. The disk is made, of the image's
 * size rounded up to 512 bytes, when it does not exist. Pages of zeros are left as they are: import into an empty disk.
 * Returns the number of bytes written.
 */
export async function importRaw(store: DiskStore, id: string, path: string): Promise<number> {
  const file = await open(path, 'r');
  try {
    const { size } = await file.stat();
    if (!store.has(id)) await store.create(id, Math.max(512, Math.ceil(size / 512) * 512));
    const buffer = Buffer.alloc(BUFFER_BYTES);
    let written = 0;
    for (let offset = 0; offset < size; ) {
      const filled = await fill(file, buffer, offset);
      if (filled === 0) break;
      const sectors = Math.ceil(filled / 512) * 512;
      buffer.fill(0, filled, sectors);
      for (const { from, to } of filledRuns(buffer.subarray(0, sectors))) {
        await store.write(id, offset + from, buffer.subarray(from, to));
        written += to - from;
      }
      offset += filled;
    }
    return written;
  } finally {
    await file.close();
  }
}

/** Fills the buffer from the file; less only at the file's end. */
async function fill(file: FileHandle, buffer: Buffer, position: number): Promise<number> {
  let done = 0;
  while (done < buffer.length) {
    const { bytesRead } = await file.read(buffer, done, buffer.length - done, position + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return done;
}

/** The runs of pages that are not all zeros. */
function* filledRuns(bytes: Buffer): Generator<{ from: number; to: number }> {
  let from: number | undefined;
  for (let at = 0; at < bytes.length; at += PAGE_BYTES) {
    const page = bytes.subarray(at, at + PAGE_BYTES);
    const empty = ZERO_PAGE.subarray(0, page.length).equals(page);
    if (!empty) from ??= at;
    else if (from !== undefined) {
      yield { from, to: at };
      from = undefined;
    }
  }
  if (from !== undefined) yield { from, to: bytes.length };
}
