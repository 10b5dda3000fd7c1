/**
 * The most that this machine could do: digest, codec and cipher of the data path on every core, with the data in memory and no
 * I/O. Run as a module it prints the limit of an image; its threads run the same file.
 */
import { createCipheriv, createDecipheriv, createSecretKey, randomBytes } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { compressBlock, expandBlock } from '../lib/repository/blockCodec.ts';
import { blockDigest } from '../lib/repository/blockDigest.ts';
import { type ChainKeys, decodeChainKeys } from '../lib/repository/keys.ts';

const BLOCK = 512 * 1024;
/** What one thread holds in memory. */
const SAMPLE_BYTES = 192 * 1024 * 1024;

export interface Limit {
  readonly threads: number;
  /** MB (1e6) of data a second through all threads. */
  readonly backupMBs: number;
  /** The same with each block decrypted, expanded and compared again. */
  readonly comparedMBs: number;
}

interface ThreadData {
  readonly image: string;
  readonly blocks: number[];
}

function thread({ image, blocks }: ThreadData): void {
  const file = openSync(image, 'r');
  const data = blocks.map((offset) => {
    const bytes = Buffer.allocUnsafeSlow(BLOCK);
    readSync(file, bytes, 0, BLOCK, offset);
    return bytes;
  });
  closeSync(file);
  const bundle = Buffer.concat([Buffer.from([1, 1]), randomBytes(64)]);
  const keys = decodeChainKeys(bundle);
  parentPort?.on('message', (compare: boolean) => {
    for (const [i, bytes] of data.entries()) transform(bytes, i, keys, compare);
    parentPort?.postMessage('done');
  });
  parentPort?.postMessage('ready');
}

const key = createSecretKey(randomBytes(32));
const room = Buffer.allocUnsafeSlow(BLOCK);

function transform(bytes: Buffer, i: number, keys: ChainKeys, compare: boolean): void {
  blockDigest(keys, bytes);
  const { codec, stored } = compressBlock(bytes);
  const nonce = Buffer.alloc(12);
  nonce.writeUInt32LE(i);
  const cipher = createCipheriv('aes-256-gcm', key, nonce);
  const sealed = cipher.update(stored);
  cipher.final();
  if (!compare) return;
  const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: 16 });
  decipher.setAuthTag(cipher.getAuthTag());
  const opened = decipher.update(sealed);
  decipher.final();
  if (!expandBlock(codec, opened, BLOCK, room).equals(bytes)) throw new Error('differs');
}

/** `ranges`: the allocated ranges of the image. */
export async function findLimit(
  image: string,
  ranges: readonly (readonly [number, number])[],
): Promise<Limit> {
  const threads = availableParallelism();
  const all = new Set<number>();
  for (const [offset, length] of ranges)
    for (let at = Math.floor(offset / BLOCK) * BLOCK; at < offset + length; at += BLOCK) all.add(at);
  const most = Math.floor((threads * SAMPLE_BYTES) / BLOCK);
  const step = Math.max(1, all.size / most);
  const sample = [...all].filter((_, i) => Math.floor(i / step) !== Math.floor((i - 1) / step));
  const workers = Array.from({ length: threads }, (_, t) => {
    const data: ThreadData = { image, blocks: sample.filter((_, i) => i % threads === t) };
    return new Worker(new URL(import.meta.url), { workerData: data });
  });
  const answer = (worker: Worker) =>
    new Promise((resolve, reject) => {
      worker.once('message', resolve);
      worker.once('error', reject);
    });
  await Promise.all(workers.map(answer));
  const round = async (compare: boolean): Promise<number> => {
    const start = performance.now();
    const done = Promise.all(workers.map(answer));
    for (const worker of workers) worker.postMessage(compare, []);
    await done;
    return (sample.length * BLOCK) / 1000 / (performance.now() - start);
  };
  // The first round also loads code: the best of three is the limit.
  const best = async (compare: boolean) =>
    Math.max(await round(compare), await round(compare), await round(compare));
  const limit = { threads, backupMBs: await best(false), comparedMBs: await best(true) };
  await Promise.all(workers.map((worker) => worker.terminate()));
  return limit;
}

if (!isMainThread && workerData !== null) thread(workerData as ThreadData);
