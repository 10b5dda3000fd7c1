import { randomBytes } from 'node:crypto';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MAX_TAGS } from '../../lib/azure/index.ts';
import { FLAGS, type MachineConfiguration } from '../../lib/model/index.ts';
import { openMetadata, type SnapshotMetadata, sealMetadata } from '../../lib/sessions/snapshots/metadata.ts';
import { joinTags, planTags, readFlags, type TagPlan } from '../../lib/sessions/snapshots/tags.ts';

const key = randomBytes(32);

function metadata(filler: string): SnapshotMetadata {
  const configuration: MachineConfiguration = {
    machine: {
      id: '0aa0bd9f-1111-4222-8333-944444444444',
      armId: '/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/web',
      name: 'web',
      subscriptionId: 's',
      resourceGroup: 'g',
      location: 'westeurope',
      powerState: 'running',
      tags: { filler },
    },
    virtualMachine: { hardwareProfile: { vmSize: 'Standard_D2as_v5' } },
    networkInterfaces: [{ id: 'nic' }],
    disks: [],
  };
  return {
    version: 1,
    configuration,
    policyId: 'nightly',
    chain: { repositoryId: 'repository', chainId: '0123456789abcdef', sequence: 7 },
    disks: [{ number: 0, uniqueId: 'disk-0' }],
    retention: { keep: { daily: { days: 7 } }, timeZone: 'UTC', obsoleteAfter: null },
  };
}

const disk = (number: number, copied: Record<string, string> = {}) => ({
  number,
  name: `d${number}`,
  copied,
});
const plan = (sealed: string, disks: TagPlan['disks'], more: Partial<TagPlan> = {}): TagPlan => ({
  owner: 'demo',
  sessionId: 'session',
  setId: 'set-1',
  machineId: 'machine',
  sealed,
  disks,
  ...more,
});
const many = (count: number, prefix: string) =>
  Object.fromEntries(Array.from({ length: count }, (_, i) => [`${prefix}${i}`, String(i)]));

describe('the tags of a snapshot set', () => {
  it('carry all metadata, whatever the number of disks and of other tags, in at most 50 tags of 256 characters', () => {
    const taggedDisk = fc.nat({ max: 20 });
    fc.assert(
      fc.property(
        fc.array(taggedDisk, { minLength: 1, maxLength: 16 }),
        fc.integer({ min: 0, max: 3000 }),
        fc.nat({ max: 5 }),
        (copied, size, custom) => {
          const original = metadata(randomBytes(size).toString('base64'));
          const sealed = sealMetadata(original, 'set-1', key);
          const disks = copied.map((count, i) => disk(i, many(count, 'own')));
          const tags = planTags(plan(sealed, disks, { custom: many(custom, 'policy') }), 'web');
          for (const [number, of] of tags) {
            expect(Object.keys(of).length).toBeLessThanOrEqual(MAX_TAGS);
            for (const value of Object.values(of)) expect(value.length).toBeLessThanOrEqual(256);
            expect(of).toMatchObject({ ...many(copied[number] ?? 0, 'own'), ...many(custom, 'policy') });
          }
          expect(openMetadata(joinTags([...tags.values()].reverse()) ?? '', 'set-1', key)).toEqual(original);
        },
      ),
      { numRuns: 50 },
    );
  });

  it('are refused before any snapshot when the configuration has no room, naming the machine and the count', () => {
    const sealed = sealMetadata(metadata(randomBytes(20_000).toString('base64')), 'set-1', key);
    expect(() => planTags(plan(sealed, [disk(0)]), 'vm web')).toThrowError(
      expect.objectContaining({
        code: 'tagLimit',
        target: 'vm web',
        message: expect.stringMatching(/needs \d+ tags, and its 1 snapshots have room for 44/) as unknown,
      }),
    );
  });

  it('are refused when one disk brings too many of its own, naming that disk and who brings how many', () => {
    const sealed = sealMetadata(metadata(''), 'set-1', key);
    const disks = [disk(0), disk(1, many(48, 'own'))];
    expect(() => planTags(plan(sealed, disks, { custom: { team: 'shop' } }), 'vm web')).toThrowError(
      expect.objectContaining({
        code: 'tagLimit',
        target: 'd1',
        message: expect.stringContaining(
          'would carry 55 tags, and Azure allows 50: 6 of Holdfast, 1 of the policy, 48 copied',
        ) as unknown,
      }),
    );
  });

  it('are refused for a name that Azure would refuse, before any snapshot', () => {
    const sealed = sealMetadata(metadata(''), 'set-1', key);
    expect(() => planTags(plan(sealed, [disk(0)], { custom: { 'a/b': '1' } }), 'vm web')).toThrowError(
      expect.objectContaining({ code: 'tagLimit' }),
    );
  });

  it('let those of the policy win over copied ones, and nobody over ours', () => {
    const sealed = sealMetadata(metadata(''), 'set-1', key);
    const copied = { Team: 'disk', 'Holdfast-Owner': 'somebody', 'azure-x': '1', kept: 'yes' };
    const tags = planTags(plan(sealed, [disk(0, copied)], { custom: { team: 'policy' } }), 'web').get(0);
    expect(tags).toMatchObject({ 'holdfast-owner': 'demo', team: 'policy', kept: 'yes' });
    expect(Object.keys(tags ?? {})).not.toEqual(expect.arrayContaining(['Team']));
    expect(Object.keys(tags ?? {})).not.toEqual(expect.arrayContaining(['azure-x']));
    expect(Object.keys(tags ?? {})).not.toEqual(expect.arrayContaining(['Holdfast-Owner']));
  });

  it('say which schedules they count for, and what a person said of them', () => {
    const sealed = sealMetadata(metadata(''), 'set-1', key);
    fc.assert(
      fc.property(fc.subarray([...FLAGS]), (flags) => {
        const tags = planTags(plan(sealed, [disk(0)], { flags }), 'web').get(0);
        expect(readFlags(tags?.['holdfast-flags'])).toEqual(flags);
        expect(tags?.['holdfast-manual']).toBeUndefined();
      }),
    );
    const expiresAt = '2026-12-01T00:00:00.000Z';
    expect(planTags(plan(sealed, [disk(0)], { manual: true, expiresAt }), 'web').get(0)).toMatchObject({
      'holdfast-manual': 'true',
      'holdfast-expires': expiresAt,
    });
  });

  it('say nothing when a part is missing, and open for no other key and no other set', () => {
    const sealed = sealMetadata(metadata('x'.repeat(500)), 'set-1', key);
    const tags = planTags(plan(sealed, [disk(0), disk(1), disk(2)]), 'web');
    tags.delete(1);
    expect(joinTags([...tags.values()])).toBeNull();
    expect(() => openMetadata(sealed, 'set-1', randomBytes(32))).toThrowError(
      expect.objectContaining({ code: 'corruptObject' }),
    );
    expect(() => openMetadata(sealed, 'set-2', key)).toThrowError(
      expect.objectContaining({ code: 'corruptObject' }),
    );
  });

  it('are understood when somebody has changed the case of their names', () => {
    const original = metadata('x'.repeat(500));
    const tags = planTags(plan(sealMetadata(original, 's', key), [disk(0), disk(1)]), 'web');
    const shouted = [...tags.values()].map((of) =>
      Object.fromEntries(Object.entries(of).map(([name, value]) => [name.toUpperCase(), value])),
    );
    expect(openMetadata(joinTags(shouted) ?? '', 's', key)).toEqual(original);
  });

  it('show nothing of the machine', () => {
    const sealed = sealMetadata(metadata('secret-name'), 'set-1', key);
    expect(Buffer.from(sealed, 'base64url').toString('latin1')).not.toContain('secret-name');
  });
});
