import { describe, expect, it } from 'vitest';
import { memoryCatalog } from '../../../lib/catalog/catalog.ts';
import type { Installation } from '../../../lib/installation/installation.ts';
import { protectionSchema, type ReadReason } from '../../../lib/model/index.ts';
import type { PointManifest } from '../../../lib/repository/index.ts';
import { wholeReadsOf } from '../../../lib/sessions/backup/wholeReads.ts';

const CHAIN = '0123456789abcdef';
const DAY = 24 * 3600_000;
const START = Date.parse('2026-03-01T07:00:00Z');

/** The catalog after one point a day, each of one disk that was read so. */
async function after(reasons: readonly ReadReason[], days: number) {
  const clock = { now: () => new Date(START + days * DAY), sleep: () => Promise.resolve() };
  const catalog = memoryCatalog(clock);
  for (const [day, readReason] of reasons.entries()) {
    const takenAt = new Date(START + day * DAY + 30_000).toISOString();
    const disk = {
      number: 0,
      uniqueId: 'disk',
      name: 'disk',
      role: 'os' as const,
      lun: null,
      sizeBytes: 1,
      allocatedBytes: 0,
      readBytes: 0,
      storedBytes: 0,
      readReason,
      snapshotId: '/s',
      snapshotFamilyId: 'family',
    };
    await catalog.points.add(
      {
        chainId: CHAIN,
        sequence: day + 1,
        machineId: '0aa0bd9f-1111-4222-8333-944444444444',
        machineName: 'web',
        sessionId: '0123456789abcdefghjk',
        kind: 'incremental',
        consistency: 'atomic',
        takenAt,
        committedAt: takenAt,
        disks: [disk],
      },
      new Uint8Array(),
      'tag',
    );
  }
  const takenAt = new Date(START + (reasons.length - 1) * DAY + 30_000).toISOString();
  const parent = reasons.length === 0 ? null : ({ takenAt } as PointManifest);
  const ask = (changedBlocks: object) =>
    wholeReadsOf(
      { catalog, clock } as unknown as Installation,
      { protection: protectionSchema.parse({ changedBlocks }) },
      CHAIN,
      parent,
    );
  return { catalog, ask };
}

const usual = (count: number): ReadReason[] => ['first', ...Array<ReadReason>(count).fill('changedBlocks')];

describe('a disk is due to be read whole', () => {
  it('when its last whole read is as many days back as the policy says, at the same time of day', async () => {
    for (const days of [6, 7]) {
      const { ask } = await after(usual(days - 1), days);
      const whole = await ask({ wholeReadEveryDays: 7 });
      expect([days, whole.isDue('disk')]).toEqual([days, days === 7]);
    }
  });

  it('by points that were removed too', async () => {
    const { catalog, ask } = await after(usual(4), 5);
    await catalog.points.markRemoved(CHAIN, 1, new Date());
    expect((await ask({ wholeReadEveryDays: 7 })).isDue('disk')).toBe(false);
    expect((await ask({ wholeReadEveryDays: 5 })).isDue('disk')).toBe(true);
  });

  it('when nobody remembers a whole read, and only if the policy wants such', async () => {
    const { ask } = await after(['changedBlocks', 'changedBlocks'], 2);
    expect((await ask({ wholeReadEveryDays: 30 })).isDue('disk')).toBe(true);
    expect((await ask({})).isDue('disk')).toBe(false);
  });
});

describe('a reset of changed block tracking', () => {
  const at = (days: number) => new Date(START + days * DAY).toISOString();

  it('counts until a whole read comes after it, whatever that was made for', async () => {
    const { ask } = await after(['first', 'changedBlocks', 'baseMissing', 'changedBlocks'], 4);
    expect((await ask({ resetAt: at(1) })).isReset('disk')).toBe(false);
    expect((await ask({ resetAt: at(2.5) })).isReset('disk')).toBe(true);
    expect((await ask({})).isReset('disk')).toBe(false);
  });

  it('counts once when the whole read is forgotten: by the last point', async () => {
    const { ask } = await after(['changedBlocks', 'changedBlocks'], 2);
    expect((await ask({ resetAt: at(0.5) })).isReset('disk')).toBe(false);
    expect((await ask({ resetAt: at(1.5) })).isReset('disk')).toBe(true);
  });

  it('asks nothing of a chain without a point', async () => {
    const { ask } = await after([], 2);
    expect((await ask({ resetAt: at(1), wholeReadEveryDays: 1 })).isReset('disk')).toBe(false);
  });
});
