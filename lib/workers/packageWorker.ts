import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { HoldfastError } from '../model/index.ts';
import { paddingOf, TRAILER, tarHeader } from './tar.ts';

/** The tarball that a worker boots from. */
export interface WorkerPackage {
  /** SHA-256 of the file, hex. */
  readonly digest: string;
  /** `worker-<digest>.tgz`. */
  readonly name: string;
  readonly path: string;
  readonly bytes: number;
}

/**
 * Packs the worker's bundle, as `worker.mjs`, and the Node binary beside it, as `node`, where one is given (without: the `node` of the
 * VM's image is used). The same files give the same bytes: no times, owners or paths go in. Writes to the folder `into`, streamed; a package
 * that is there already is replaced by itself.
 */
export async function packageWorker(
  files: { readonly bundle: string; readonly node?: string },
  into: string,
): Promise<WorkerPackage> {
  await mkdir(into, { recursive: true });
  const partial = join(into, `worker-${process.pid}.partial`);
  const digest = createHash('sha256');
  try {
    await pipeline(
      Readable.from(entries(files)),
      createGzip({ level: 6 }),
      async function* (chunks: AsyncIterable<Buffer>) {
        for await (const chunk of chunks) {
          digest.update(chunk);
          yield chunk;
        }
      },
      createWriteStream(partial, { flush: true }),
    );
    const hex = digest.digest('hex');
    const name = `worker-${hex}.tgz`;
    const path = join(into, name);
    await rename(partial, path);
    return { digest: hex, name, path, bytes: (await stat(path)).size };
  } catch (error) {
    await rm(partial, { force: true });
    throw error;
  }
}

async function* entries({ bundle, node }: { bundle: string; node?: string }): AsyncIterable<Buffer> {
  if (node !== undefined) yield* entry('node', node, 0o755);
  yield* entry('worker.mjs', bundle, 0o644);
  yield TRAILER;
}

async function* entry(name: string, path: string, mode: number): AsyncIterable<Buffer> {
  const { size } = await stat(path).catch((cause: unknown) => {
    throw new HoldfastError('notFound', `${path} is needed for the worker's package and cannot be read.`, {
      target: path,
      cause,
    });
  });
  yield tarHeader({ name, mode, size });
  for await (const chunk of createReadStream(path)) yield chunk as Buffer;
  yield paddingOf(size);
}
