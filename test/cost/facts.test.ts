import { describe, expect, it } from 'vitest';
import { measuredFacts } from '../../lib/cost/index.ts';
import { GiB, type RestorePoint } from '../../lib/model/index.ts';

const DISK: RestorePoint['disks'][number] = {
  number: 0,
  uniqueId: 'u',
  name: 'os',
  role: 'os',
  lun: null,
  sizeBytes: 100 * GiB,
  allocatedBytes: 40 * GiB,
  readBytes: 0,
  storedBytes: 0,
  readReason: 'changedBlocks',
  snapshotId: 's',
  snapshotFamilyId: 'f',
};

const point = (
  sequence: number,
  takenAt: string,
  disk: Partial<typeof DISK>,
  chainId = 'chain',
): RestorePoint => ({
  chainId,
  sequence,
  machineId: 'm',
  machineName: 'web',
  sessionId: 'session',
  kind: sequence === 1 ? 'full' : 'incremental',
  consistency: 'atomic',
  takenAt,
  committedAt: takenAt,
  disks: [{ ...DISK, ...disk }],
});

describe('what restore points tell of a machine', () => {
  it('nothing without any', () => {
    expect(measuredFacts([])).toBeNull();
  });

  it('used bytes of the newest, change in a day, and what compression leaves', () => {
    const facts = measuredFacts([
      point(3, '2026-01-04T00:00:00Z', {
        allocatedBytes: 50 * GiB,
        readBytes: 9.5 * GiB,
        storedBytes: 5 * GiB,
      }),
      point(1, '2026-01-01T00:00:00Z', { readBytes: 40 * GiB, storedBytes: 20 * GiB, readReason: 'first' }),
      point(2, '2026-01-02T00:00:00Z', { readBytes: 4 * GiB, storedBytes: 1.75 * GiB }),
    ]);
    expect(facts?.disks).toEqual([{ name: 'os', sizeBytes: 100 * GiB, usedBytes: 50 * GiB }]);
    // A tenth in one day; 19 % in two days, which is a tenth in each.
    expect(facts?.dailyChange).toBeCloseTo(0.1, 9);
    expect(facts?.storedRatio).toBeCloseTo(26.75 / 53.5, 9);
  });

  it('a first full alone tells no change, and another chain is another story', () => {
    const first = point(1, '2026-01-01T00:00:00Z', { readBytes: GiB, storedBytes: GiB, readReason: 'first' });
    const old = point(
      1,
      '2025-01-01T00:00:00Z',
      { readBytes: GiB, storedBytes: 0, readReason: 'first' },
      'old',
    );
    expect(measuredFacts([old, first])).toMatchObject({ dailyChange: null, storedRatio: 1 });
  });

  it('too little to be told from chance tells nothing', () => {
    const facts = measuredFacts([
      point(1, '2026-01-01T00:00:00Z', { readBytes: 4096, storedBytes: 4096, readReason: 'first' }),
      point(2, '2026-01-01T00:10:00Z', { readBytes: 4096, storedBytes: 4096 }),
    ]);
    expect(facts).toMatchObject({ dailyChange: null, storedRatio: null });
  });
});
