import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { array, assert, asyncProperty, integer, nat, record } from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { KiB, MiB, type RestorePoint } from '../../lib/model/index.ts';
import { openDiskStore } from '../../local/azure/disks/index.ts';
import { StateStore } from '../../local/azure/state.ts';
import { fingerprint, firstDifference, type Stretch } from '../../local/demo/fingerprint.ts';
import { judge, type MainJob } from '../../local/demo/mainJob.ts';
import { type DemoReport, faults, reportTable } from '../../local/demo/report.ts';
import { workersOf } from '../../local/demo/requestLog.ts';
import { openTruth } from '../../local/demo/truth.ts';

const GROUP = 'holdfast-workers';
const vm = (name: string, verb = '') =>
  `/subscriptions/s/resourceGroups/${GROUP}/providers/Microsoft.Compute/virtualMachines/${name}${verb}?api-version=1`;
const request = (method: string, path: string, status = 200) => ({ method, path, status });

describe('the workers of a request log', () => {
  test('are those that were created in the group; they run until they are deallocated or deleted', () => {
    const log = [
      request('PUT', vm('a'), 201),
      request('GET', vm('a')),
      request('PUT', vm('b'), 201),
      request('PUT', vm('c'), 201),
      request('PUT', vm('refused'), 409),
      request('PUT', vm('x').replace(GROUP, 'shop'), 201),
      request('POST', vm('a', '/deallocate'), 202),
      request('DELETE', vm('b'), 202),
      request('DELETE', vm('c'), 429),
    ];
    expect(workersOf(log, GROUP)).toEqual({ used: ['a', 'b', 'c'], running: ['c'] });
  });

  test('run again after a start', () => {
    const log = [
      request('PUT', vm('a'), 201),
      request('POST', vm('a', '/deallocate'), 202),
      request('POST', vm('a', '/start'), 202),
    ];
    expect(workersOf(log, GROUP.toUpperCase()).running).toEqual(['a']);
  });
});

describe('a fingerprint', () => {
  async function* pieces(disk: Buffer, cuts: readonly number[]): AsyncIterable<Stretch> {
    const at = [0, ...cuts.map((cut) => cut % disk.length), disk.length].sort((a, b) => a - b);
    for (const [i, offset] of at.entries()) {
      const bytes = disk.subarray(offset, at[i + 1] ?? offset);
      // Stretches of zeros may be left out.
      if (bytes.some((byte) => byte !== 0)) yield { offset, bytes };
    }
  }

  test('depends on the bytes only, not on how they come; and any differing byte shows', async () => {
    const size = 3 * MiB + 4096;
    const writes = array(record({ at: nat(size - 1), value: integer({ min: 1, max: 255 }) }), {
      maxLength: 6,
    });
    await assert(
      asyncProperty(
        writes,
        array(nat(), { maxLength: 5 }),
        array(nat(), { maxLength: 5 }),
        nat(size - 1),
        async (written, cuts, others, flip) => {
          const disk = Buffer.alloc(size);
          for (const { at, value } of written) disk[at] = value;
          const one = await fingerprint(size, pieces(disk, cuts));
          expect(firstDifference(one, await fingerprint(size, pieces(disk, others)))).toBeUndefined();
          disk[flip] = (disk[flip] ?? 0) ^ 0xff;
          expect(firstDifference(one, await fingerprint(size, pieces(disk, others)))).toBe(
            `1 MiB differ, the first at byte ${Math.floor(flip / MiB) * MiB}`,
          );
        },
      ),
      { numRuns: 25 },
    );
  });

  test('of disks of different sizes differ', async () => {
    const empty = (async function* (): AsyncIterable<Stretch> {})();
    expect(firstDifference(await fingerprint(512, empty), await fingerprint(1024, empty))).toMatch(
      /sizes differ/,
    );
  });
});

describe('the judgement', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'holdfast-truth-'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  /** A simulator's state with a disk, two snapshots of it, and two restored disks. */
  async function cloud(spoil: boolean) {
    const state = new StateStore(folder);
    const store = await openDiskStore(join(folder, 'disks'));
    const restored = Buffer.alloc(4 * KiB, 2);
    await store.create('d', 8 * MiB);
    await store.write('d', 0, Buffer.alloc(4 * KiB, 1));
    await store.snapshot('d', 's1');
    await store.write('d', 2 * MiB - 4 * KiB, Buffer.alloc(8 * KiB, 2));
    await store.snapshot('d', 's2');
    await store.create('r1', 8 * MiB);
    await store.write('r1', 0, Buffer.alloc(4 * KiB, 1));
    await store.create('r2', 8 * MiB);
    await store.write('r2', 0, Buffer.alloc(4 * KiB, 1));
    await store.write('r2', 2 * MiB - 4 * KiB, Buffer.alloc(8 * KiB, 2));
    if (spoil) await store.write('r2', 7 * MiB, restored);
    for (const id of ['d', 'r1', 'r2']) state.collection('disks').set(`/${id}`, { uniqueId: id });
    for (const id of ['s1', 's2']) state.collection('snapshots').set(`/${id}`, { uniqueId: id });
    await store.close();
    state.close();
  }

  const point = (sequence: number, readBytes: number): RestorePoint => ({
    chainId: '0123456789abcdef',
    sequence,
    machineId: '0f9e8d7c-6b5a-4938-8271-605f4e3d2c1b',
    machineName: 'm',
    sessionId: '06azkc3h3g0000000000',
    kind: sequence === 1 ? 'full' : 'incremental',
    consistency: 'atomic',
    takenAt: '2026-11-21T22:50:11.000Z',
    committedAt: '2026-11-21T22:50:31.000Z',
    disks: [
      {
        number: 0,
        uniqueId: 'u',
        name: 'm-os',
        role: 'os',
        lun: null,
        sizeBytes: 8 * MiB,
        allocatedBytes: 512 * KiB,
        readBytes,
        storedBytes: 100,
        readReason: sequence === 1 ? 'first' : 'changedBlocks',
        snapshotId: `/s${sequence}`,
        snapshotFamilyId: 'f',
      },
    ],
  });
  const job = (readBytes: number): MainJob => ({
    machine: 'm',
    points: [
      { point: point(1, 8 * MiB), seconds: 1 },
      { point: point(2, readBytes), seconds: 1 },
    ],
    restores: [
      { point: point(1, 0), seconds: 1, created: [{ number: 0, diskId: '/r1' }] },
      { point: point(2, 0), seconds: 1, created: [{ number: 0, diskId: '/r2' }] },
    ],
    left: { openGrants: [], runningWorkers: [] },
    workers: ['w'],
    seconds: 4,
  });
  async function judged(readBytes: number, spoil: boolean): Promise<DemoReport> {
    await cloud(spoil);
    const truth = await openTruth(folder);
    try {
      return await judge(job(readBytes), truth);
    } finally {
      await truth.close();
    }
  }

  // The write straddles two blocks of 512 KiB; ten blocks may be read as samples.
  const ALLOWED = 12 * 512 * KiB;

  test('finds nothing wrong when disks are identical and an incremental read what changed', async () => {
    const report = await judged(ALLOWED, false);
    expect(faults(report)).toEqual([]);
    expect(report.points.map(({ disks }) => disks[0]?.allowedReadBytes)).toEqual([null, ALLOWED]);
    expect(report.restores.map(({ identical }) => identical)).toEqual([true, true]);
    expect(reportTable(report)).toMatch(/incremental +m-os +8\.0 MiB +0\.5 MiB +6\.0 MiB/);
  });

  test('finds a byte that differs, and names disk and place', async () => {
    expect(faults(await judged(ALLOWED, true))).toEqual([
      'm-os, restored from 0123456789abcdef/2, differs from its snapshot: 1 MiB differ, the first at byte 7340032.',
    ]);
  });

  test('finds an incremental that read more than what changed', async () => {
    expect(faults(await judged(ALLOWED + 1, false))).toEqual([
      expect.stringMatching(/read 6291457 bytes of m-os/),
    ]);
  });

  test('finds grants and workers that were left, and a run without a worker', async () => {
    const report = await judged(ALLOWED, false);
    expect(faults({ ...report, workers: [], left: { openGrants: ['/s1'], runningWorkers: ['w'] } })).toEqual([
      'A SAS of /s1 was not revoked.',
      'The worker w is still running.',
      'No worker VM took part.',
    ]);
  });

  test('finds a restore point that was not restored', async () => {
    const report = await judged(ALLOWED, false);
    expect(faults({ ...report, restores: report.restores.slice(1) })).toEqual([
      'Not every restore point was restored.',
    ]);
  });
});
