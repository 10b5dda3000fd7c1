import { describe, expect, it } from 'vitest';
import { chooseBase, type PreviousRead, type SnapshotFacts } from '../../lib/chain/index.ts';
import { GiB, TiB } from '../../lib/model/index.ts';

const now: SnapshotFacts = { id: '/s/new', familyId: 'fam', sourceUniqueId: 'disk', sizeBytes: 64 * GiB };
const base: SnapshotFacts = { id: '/s/old', familyId: 'fam', sourceUniqueId: 'disk', sizeBytes: 64 * GiB };
const previous: PreviousRead = {
  snapshotId: '/s/old',
  snapshotFamilyId: 'fam',
  uniqueId: 'disk',
  sizeBytes: 64 * GiB,
};
const usual = { changedBlockTracking: true, reset: false, wholeReadDue: false };

describe('how a disk is read', () => {
  it('reads only changed blocks against the snapshot that the last restore point names', () => {
    expect(chooseBase(now, previous, base, usual)).toEqual({
      baseSnapshotId: '/s/old',
      reason: 'changedBlocks',
    });
  });

  it.each([
    ['first', now, null, base, usual],
    ['first', { ...now, sourceUniqueId: 'other' }, previous, base, usual],
    ['reset', now, previous, base, { ...usual, reset: true }],
    ['cbtOff', now, previous, base, { ...usual, changedBlockTracking: false }],
    ['scheduled', now, previous, base, { ...usual, wholeReadDue: true }],
    ['baseMissing', now, previous, null, { ...usual, wholeReadDue: true }],
    ['otherFamily', { ...now, familyId: 'fam2' }, previous, base, usual],
    ['otherFamily', now, { ...previous, snapshotFamilyId: 'fam0' }, base, usual],
    ['otherFamily', now, previous, { ...base, sourceUniqueId: 'other' }, usual],
    ['resizedAcross4TB', { ...now, sizeBytes: 6 * TiB }, { ...previous, sizeBytes: 2 * TiB }, base, usual],
  ] as const)('reads the whole disk and says %s', (reason, current, before, snapshot, options) => {
    expect(chooseBase(current, before, snapshot, options)).toEqual({ baseSnapshotId: null, reason });
  });

  it.each([
    [64 * GiB, 128 * GiB],
    [2 * TiB, 4 * TiB],
    [5 * TiB, 32 * TiB],
  ])('stays incremental over a resize that does not cross 4 TB', (before, after) => {
    const grown = chooseBase({ ...now, sizeBytes: after }, { ...previous, sizeBytes: before }, base, usual);
    expect(grown.reason).toBe('changedBlocks');
  });
});
