/**
 * A process of its own that opens a restore point of a repository in a folder, compares it with the one after it, and removes it:
 * `flatPoint.ts <meta folder> <data folder> <chain> <number>`. Prints milliseconds of each, and its own peak memory.
 */
import { readFileSync } from 'node:fs';
import {
  differentPages,
  FolderBlobStore,
  openChain,
  openPoint,
  openRepository,
  removePoint,
} from '../lib/repository/index.ts';
import type { FlatPoint } from './metadata.ts';

const [meta = '', data = '', chainId = '', number = ''] = process.argv.slice(2);
const sequence = Number(number);
const timed = async <T>(act: () => Promise<T>): Promise<{ ms: number; result: T }> => {
  const start = performance.now();
  const result = await act();
  return { ms: performance.now() - start, result };
};

/** Not `resourceUsage`, which counts the memory of the process that this one was forked from. */
const peakMiB = (): number =>
  Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]) / 1024;

const opened = await timed(async () => {
  const stores = { meta: new FolderBlobStore(meta), data: new FolderBlobStore(data) };
  const repository = await openRepository({ ...stores, unlock: { mode: 'none' } });
  const chain = await openChain(repository, chainId);
  return { chain, map: (await (await openPoint(chain, sequence)).disk(0)).map };
});
const { chain, map } = opened.result;
const compared = await timed(async () => {
  const neighbour = await (await openPoint(chain, sequence + 1)).disk(0);
  let pages = 0;
  for await (const page of differentPages(map, neighbour.map)) if (page) pages++;
  return pages;
});
const removed = await timed(() => removePoint(chain, { sequence, by: 'bench', now: new Date() }));
const measured: FlatPoint = {
  openMs: opened.ms,
  compareMs: compared.ms,
  pagesThatDiffer: compared.result,
  removeMs: removed.ms,
  peakMiB: peakMiB(),
};
process.stdout.write(JSON.stringify(measured));
