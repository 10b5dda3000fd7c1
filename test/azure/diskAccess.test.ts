import { randomBytes } from 'node:crypto';
import * as fc from 'fast-check';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  closeDiskConnections,
  type DiskOptions,
  SnapshotDisk,
  UploadDisk,
} from '../../lib/azure/diskAccess.ts';
import { vhdFooter } from '../../lib/azure/vhdFooter.ts';
import { type ByteRange, type Clock, GiB, KiB, MiB } from '../../lib/model/index.ts';
import { failure } from './failure.ts';
import { ScriptedDisk, type Seen, type SentRange } from './scriptedDisk.ts';

const disk = new ScriptedDisk();
let slept: number[] = [];
const clock: Clock = {
  now: () => new Date(0),
  sleep: (ms, signal) => {
    slept.push(ms);
    return signal?.aborted ? Promise.reject(signal.reason as Error) : Promise.resolve();
  },
};
const options: DiskOptions = { clock, random: () => 1 };

beforeAll(() => disk.start());
beforeEach(() => {
  slept = [];
  disk.seen.length = 0;
  disk.fired = 0;
  disk.fault = () => undefined;
  disk.pageSize = Number.POSITIVE_INFINITY;
  disk.ranges = [];
  disk.diffRanges = [];
});
let armed = false;
afterEach(() => {
  // Whatever a test told the disk to do must have happened.
  if (armed && disk.fired === 0) throw new Error('The scripted fault never happened.');
  armed = false;
});
afterAll(async () => {
  await closeDiskConnections();
  await disk.stop();
});

/** Megabytes are compared without the test framework's walk through them. */
const same = (actual: Buffer, expected: Buffer) => actual.equals(expected);

/** Fails the first `count` requests that `which` picks. */
function failing(
  count: number,
  fault: ReturnType<ScriptedDisk['fault']>,
  which: (seen: Seen) => boolean = () => true,
) {
  let left = count;
  armed = true;
  disk.fault = (seen) => (which(seen) && left-- > 0 ? fault : undefined);
}

describe('reading a snapshot', () => {
  const size = 3 * MiB;
  beforeAll(() => {
    disk.bytes = randomBytes(size + 512);
  });
  const open = (more: DiskOptions = {}) =>
    new SnapshotDisk({ sourceUrl: disk.url(), sizeBytes: size }, { ...options, ...more });

  it('gives exactly the bytes asked for, with the SAS as it is and a version', async () => {
    expect(same(await open().read(512, 2 * MiB), disk.bytes.subarray(512, 512 + 2 * MiB))).toBe(true);
    expect(disk.seen).toHaveLength(1);
    expect(disk.seen[0]?.query.get('sig')).toBe('SECRET/=');
    expect(disk.seen[0]?.query.get('snapshot')).toBe('2021-01-21T10:28:30.9524130Z');
    expect(disk.seen[0]?.headers['x-ms-version']).toBe('2021-04-10');
  });

  it('may be called in parallel', async () => {
    const source = open();
    const parts = await Promise.all(
      Array.from({ length: 24 }, (_, i) => source.read(i * 128 * KiB, 128 * KiB)),
    );
    expect(same(Buffer.concat(parts), disk.bytes.subarray(0, size))).toBe(true);
  });

  it('asks only for the rest after a broken transfer', async () => {
    failing(2, { cutAfter: 700 * KiB });
    expect(same(await open().read(0, 2 * MiB), disk.bytes.subarray(0, 2 * MiB))).toBe(true);
    expect(disk.fired).toBe(2);
    const [first, second, third] = disk.seen;
    expect(first?.first).toBe(0);
    expect(second?.first).toBeGreaterThan(0);
    expect(third?.first).toBeGreaterThan(second?.first ?? 0);
    expect(disk.seen.every(({ last }) => last === 2 * MiB - 1)).toBe(true);
  });

  it('asks for what an answer left out', async () => {
    failing(1, { shortBy: 4096 });
    expect(same(await open().read(0, MiB), disk.bytes.subarray(0, MiB))).toBe(true);
    expect(disk.seen.map(({ first }) => first)).toEqual([0, MiB - 4096]);
  });

  it.each([
    [{ status: 503, code: 'ServerBusy' }, 'throttled'],
    [{ status: 500, code: 'InternalError' }, 'unavailable'],
    [{ hangUp: true }, 'unavailable'],
  ] as const)('tries again after %j, with growing waits, and gives up', async (fault, code) => {
    failing(2, fault);
    expect(await open().read(0, 4096)).toEqual(disk.bytes.subarray(0, 4096));
    expect(slept).toEqual([500, 1000]);
    slept = [];
    failing(99, fault);
    expect(await failure(open({ tries: 4 }).read(0, 4096))).toMatchObject({ code, retryable: true });
    expect(slept).toEqual([500, 1000, 2000]);
  });

  it('waits as long as the service asks', async () => {
    failing(1, { status: 503, code: 'ServerBusy', retryAfter: '7' });
    await open().read(0, 512);
    expect(slept).toEqual([7000]);
  });

  it.each([
    [{ status: 403, code: 'AuthenticationFailed' }, 'accessExpired', true],
    [{ status: 401, code: 'InvalidAuthenticationInfo' }, 'accessDenied', false],
    [{ status: 404, code: 'BlobNotFound' }, 'notFound', false],
  ] as const)('says at once that %j is %s', async (fault, code, retryable) => {
    failing(1, fault);
    expect(await failure(open().read(0, 512))).toMatchObject({ code, retryable });
    expect(disk.seen).toHaveLength(1);
  });

  it('refuses an answer for another range', async () => {
    failing(1, { wrongRange: true });
    expect(await failure(open().read(0, 512))).toMatchObject({ code: 'internal' });
  });

  it('refuses what is not whole sectors of the disk, the footer included', async () => {
    for (const [offset, length] of [
      [1, 512],
      [0, 100],
      [size, 512],
      [-512, 512],
    ] as const) {
      expect(await failure(open().read(offset, length))).toMatchObject({ code: 'invalidInput' });
    }
    expect(disk.seen).toHaveLength(0);
  });

  it('ends with the caller’s reason when it is aborted, waiting or not', async () => {
    const aborter = new AbortController();
    const reason = new Error('the job is over');
    disk.fault = () => {
      disk.fired++;
      aborter.abort(reason);
      return { status: 503, code: 'ServerBusy' };
    };
    await expect(open().read(0, 512, aborter.signal)).rejects.toBe(reason);
    await expect(open().read(0, 512, aborter.signal)).rejects.toBe(reason);
    expect(disk.seen).toHaveLength(1);
  });
});

describe('page lists', () => {
  const sectors = 400;
  const size = sectors * 512;
  const small: DiskOptions = { ...options, largestStep: 64 * 512, smallestStep: 4 * 512 };
  const open = (more: DiskOptions = {}) =>
    new SnapshotDisk(
      { sourceUrl: disk.url(), baseUrl: disk.url('2021-01-20T00%3A00%3A00Z'), sizeBytes: size },
      { ...small, ...more },
    );
  const whole: ByteRange = { offset: 0, length: size };

  /** The model: one letter per sector. */
  type Map = ('.' | 'p' | 'c')[];
  const sent = (map: Map): SentRange[] =>
    map.flatMap((kind, i) =>
      kind === '.' ? [] : [{ start: i * 512, end: i * 512 + 511, clear: kind === 'c' }],
    );
  const expected = (map: Map, kind: 'p' | 'c', window: ByteRange): ByteRange[] => {
    const found: ByteRange[] = [];
    const from = window.offset / 512;
    const to = Math.min(map.length, sectors, from + window.length / 512);
    for (let i = from; i < to; i++) {
      if (map[i] !== kind) continue;
      const start = i;
      while (i < to && map[i] === kind) i++;
      found.push({ offset: start * 512, length: (i - start) * 512 });
    }
    return found;
  };
  // The footer's sector is one more than the disk has.
  const mapArbitrary = fc.array(fc.constantFrom('.', '.', 'p', 'c'), {
    minLength: sectors + 1,
    maxLength: sectors + 1,
  });
  const windowArbitrary = fc
    .tuple(fc.nat(sectors), fc.nat(sectors))
    .map(([a, b]) => ({ offset: Math.min(a, b) * 512, length: Math.abs(a - b) * 512 }));

  it('are what a plain map of sectors says, for any window, step, marker and failure', async () => {
    await fc.assert(
      fc.asyncProperty(
        mapArbitrary,
        windowArbitrary,
        fc.integer({ min: 1, max: 40 }),
        fc.integer({ min: 8, max: 100 }),
        fc.array(fc.constantFrom('ok', 'ok', 'timeout', 'busy', 'cut', 'hangUp'), { maxLength: 12 }),
        async (map, window, pageSize, step, script) => {
          disk.ranges = sent(map.map((kind) => (kind === 'c' ? '.' : kind)));
          disk.diffRanges = sent(map);
          disk.pageSize = pageSize;
          const faults = [...script];
          disk.fault = () => {
            switch (faults.shift()) {
              case 'timeout':
                return { status: 500, code: 'OperationTimedOut' };
              case 'busy':
                return { status: 503, code: 'ServerBusy' };
              case 'cut':
                return { cutAfter: 60 };
              case 'hangUp':
                return { hangUp: true };
              default:
                return undefined;
            }
          };
          const lists = open({ largestStep: step * 512, tries: 20 });
          const { changed, cleared } = await lists.changed(window);
          expect(changed).toEqual(expected(map, 'p', window));
          expect(cleared).toEqual(expected(map, 'c', window));
          expect(await lists.allocated(window)).toEqual(expected(map, 'p', window));
          disk.fault = () => undefined;
        },
      ),
      { numRuns: 60 },
    );
  });

  it('send the whole SAS of the base, and ask in windows of the disk only', async () => {
    disk.diffRanges = [{ start: 0, end: size + 511, clear: false }];
    expect(await open().changed({ offset: 0, length: 10 * size })).toEqual({ changed: [whole], cleared: [] });
    expect(disk.seen.map(({ first, last }) => [first / 512, (last + 1) / 512])).toEqual([
      [0, 64],
      [64, 128],
      [128, 192],
      [192, 256],
      [256, 320],
      [320, 384],
      [384, 400],
    ]);
    const [seen] = disk.seen;
    expect(seen?.headers['x-ms-previous-snapshot-url']).toBe(disk.url('2021-01-20T00%3A00%3A00Z'));
    expect(seen?.query.has('prevsnapshot')).toBe(false);
    expect(seen?.query.get('comp')).toBe('pagelist');
  });

  it('halve a window that the service cannot list in time, and grow it back', async () => {
    // The service can list 16 sectors of the first half in time.
    disk.fault = (seen) =>
      seen.first < size / 2 && seen.last - seen.first + 1 > 16 * 512
        ? { status: 500, code: 'OperationTimedOut' }
        : undefined;
    disk.ranges = [{ start: 0, end: size - 1, clear: false }];
    const lists = open();
    expect(await lists.allocated(whole)).toEqual([whole]);
    expect(disk.fired).toBeGreaterThan(0);
    expect(slept).toEqual([]);
    const asked = disk.seen.map(({ first, last }) => (last - first + 1) / 512);
    // A failure is dear: the more there were, the more successes it takes to ask for more again.
    expect(asked.slice(0, 16)).toEqual([64, 32, 16, 16, 16, 16, 32, 16, 16, 16, 16, 16, 16, 16, 16, 32]);
    expect(Math.max(...asked.slice(-2))).toBe(32);
    // What it learnt is kept for the next call, and it grows back to the whole window.
    disk.seen.length = 0;
    for (let i = 0; i < 3; i++) await lists.allocated({ offset: size / 2, length: size / 2 });
    expect(disk.seen[0]?.last).toBe(size / 2 + 32 * 512 - 1);
    expect(Math.max(...disk.seen.map(({ first, last }) => (last - first + 1) / 512))).toBe(64);
  });

  it('wait and try again where the window cannot be halved any more, and give up in the end', async () => {
    disk.fault = () => ({ status: 500, code: 'OperationTimedOut' });
    expect(await failure(open({ tries: 3 }).allocated(whole))).toMatchObject({
      code: 'unavailable',
      retryable: true,
    });
    expect(disk.seen.map(({ first, last }) => (last - first + 1) / 512)).toEqual([64, 32, 16, 8, 4, 4, 4]);
    expect(slept).toEqual([500, 1000]);
  });

  it.each([
    [400, 'PreviousSnapshotCannotBeNewer'],
    [409, 'PreviousSnapshotNotFound'],
    [409, 'BlobOverwritten'],
    [400, 'UnsupportedHeaderForNonManagedDisksAccount'],
    [404, 'BlobNotFound'],
  ])('a difference refused with %i %s is diffFailed, and names the code', async (status, code) => {
    failing(1, { status, code });
    expect(await failure(open().changed(whole))).toMatchObject({
      code: 'diffFailed',
      target: code,
      retryable: false,
    });
    expect(disk.seen).toHaveLength(1);
  });

  it('an expired SAS is accessExpired for both kinds of list', async () => {
    failing(2, { status: 403, code: 'AuthenticationFailed' });
    expect(await failure(open().changed(whole))).toMatchObject({ code: 'accessExpired', retryable: true });
    expect(await failure(open().allocated(whole))).toMatchObject({ code: 'accessExpired' });
  });

  it('a list out of order is refused: joining it would lose data', async () => {
    disk.diffRanges = [
      { start: 4096, end: 8191, clear: false },
      { start: 0, end: 4607, clear: true },
    ];
    disk.ranges = disk.diffRanges;
    expect(await failure(open().changed(whole))).toMatchObject({
      code: 'diffFailed',
      target: 'UnexpectedAnswer',
    });
    expect(await failure(open().allocated(whole))).toMatchObject({ code: 'internal' });
  });

  it('a busy service is given the time it asks for', async () => {
    failing(2, { status: 503, code: 'ServerBusy', retryAfter: '3' });
    expect(await open().allocated(whole)).toEqual([]);
    expect(slept).toEqual([3000, 3000]);
  });

  it('no difference can be asked without a base', async () => {
    const source = new SnapshotDisk({ sourceUrl: disk.url(), sizeBytes: size }, options);
    expect(await failure(source.changed(whole))).toMatchObject({ code: 'invalidInput' });
  });

  it('a big disk is asked about in 64 GiB', async () => {
    const source = new SnapshotDisk({ sourceUrl: disk.url(), sizeBytes: 200 * GiB }, options);
    expect(await source.allocated({ offset: 0, length: 200 * GiB })).toEqual([]);
    expect(disk.seen.map(({ first }) => first / GiB)).toEqual([0, 64, 128, 192]);
  });
});

describe('writing a disk in upload', () => {
  const size = 9 * MiB;
  beforeEach(() => {
    disk.bytes = Buffer.alloc(size + 512);
  });
  const open = (more: DiskOptions = {}) =>
    new UploadDisk({ targetUrl: disk.url(), sizeBytes: size }, { ...options, md5: true, ...more });

  it('puts pages of at most 4 MiB, and the footer behind the last byte', async () => {
    const bytes = randomBytes(size);
    const sink = open();
    await sink.write(0, bytes.subarray(0, 9 * MiB - 512));
    await sink.write(9 * MiB - 512, bytes.subarray(9 * MiB - 512));
    await sink.writeFooter();
    expect(same(disk.bytes, Buffer.concat([bytes, vhdFooter(size)]))).toBe(true);
    expect(disk.seen.map(({ body }) => body.length)).toEqual([4 * MiB, 4 * MiB, MiB - 512, 512, 512]);
    expect(disk.seen.every(({ headers }) => headers['x-ms-page-write'] === 'update')).toBe(true);
  });

  it.each([
    { status: 503, code: 'ServerBusy' },
    { status: 400, code: 'Md5Mismatch' },
    { hangUp: true },
  ] as const)('writes again after %j', async (fault) => {
    failing(1, fault);
    const bytes = randomBytes(4096);
    await open().write(8192, bytes);
    expect(disk.fired).toBe(1);
    expect(disk.bytes.subarray(8192, 12_288)).toEqual(bytes);
  });

  it('asks for a fresh SAS on 403, and refuses to write past the disk', async () => {
    failing(1, { status: 403, code: 'AuthenticationFailed' });
    expect(await failure(open().write(0, Buffer.alloc(512)))).toMatchObject({ code: 'accessExpired' });
    expect(await failure(open().write(size, Buffer.alloc(512)))).toMatchObject({ code: 'invalidInput' });
  });
});
