import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { MiB } from '../model/index.ts';

/**
 * Ciphers answer in fresh memory each time, outside the heap of V8, which counts it and begins a whole collection for every 64 MiB of it:
 * a sixth of the CPU of a backup (docs/performance.md). Nearly all of it is garbage at once, so a collection of the young generation,
 * which takes well under a millisecond, frees it just as well, before it adds up.
 */
const EVERY_BYTES = 4 * MiB;

type Collect = (options: { type: 'minor' }) => void;

/** V8's own function, which a script sees only when it is asked for. Without it, collections come when V8 begins them. */
function collector(): Collect | null {
  try {
    setFlagsFromString('--expose-gc');
    const found: unknown = runInNewContext('gc');
    return typeof found === 'function' ? (found as Collect) : null;
  } catch {
    return null;
  }
}

let collect: Collect | null | undefined;
let bytesSince = 0;

/** Tells that so many bytes outside the heap were handed out, and will hardly be kept. */
export function notKept(bytes: number): void {
  bytesSince += bytes;
  if (bytesSince < EVERY_BYTES) return;
  bytesSince = 0;
  if (collect === undefined) collect = collector();
  collect?.({ type: 'minor' });
}
