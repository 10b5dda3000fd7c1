import { randomBytes } from 'node:crypto';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MAX_TAGS } from '../../lib/azure/index.ts';
import type { MachineConfiguration } from '../../lib/model/index.ts';
import { joinTags, openConfiguration, planTags, sealConfiguration } from '../../lib/sessions/snapshotTags.ts';

const key = randomBytes(32);

function configuration(filler: string): MachineConfiguration {
  return {
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
}
const plan = (sealed: string, disks: number[]) => ({
  owner: 'demo',
  sessionId: 'session',
  setId: 'set-1',
  machineId: 'machine',
  sealed,
  disks,
});

describe('the tags of a snapshot set', () => {
  it('carry the whole configuration, whatever the number of disks, in at most 50 tags of 256 characters', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 16 }), fc.integer({ min: 0, max: 3000 }), (disks, size) => {
        const original = configuration(randomBytes(size).toString('base64'));
        const sealed = sealConfiguration(original, 'set-1', key);
        const tags = planTags(plan(sealed, [...Array(disks).keys()]), 'web');
        for (const of of tags.values()) {
          expect(Object.keys(of).length).toBeLessThanOrEqual(MAX_TAGS);
          for (const value of Object.values(of)) expect(value.length).toBeLessThanOrEqual(256);
        }
        expect(openConfiguration(joinTags([...tags.values()].reverse()) ?? '', 'set-1', key)).toEqual(
          original,
        );
      }),
      { numRuns: 50 },
    );
  });

  it('are refused before any snapshot when there is no room, naming the machine', () => {
    const sealed = sealConfiguration(configuration(randomBytes(20_000).toString('base64')), 'set-1', key);
    expect(() => planTags(plan(sealed, [0]), 'vm web')).toThrowError(
      expect.objectContaining({ code: 'tagLimit', target: 'vm web' }),
    );
  });

  it('say nothing when a part is missing, and open for no other key and no other set', () => {
    const sealed = sealConfiguration(configuration('x'.repeat(500)), 'set-1', key);
    const tags = planTags(plan(sealed, [0, 1, 2]), 'web');
    tags.delete(1);
    expect(joinTags([...tags.values()])).toBeNull();
    expect(() => openConfiguration(sealed, 'set-1', randomBytes(32))).toThrowError(
      expect.objectContaining({ code: 'corruptObject' }),
    );
    expect(() => openConfiguration(sealed, 'set-2', key)).toThrowError(
      expect.objectContaining({ code: 'corruptObject' }),
    );
  });

  it('show nothing of the machine', () => {
    const sealed = sealConfiguration(configuration('secret-name'), 'set-1', key);
    expect(Buffer.from(sealed, 'base64url').toString('latin1')).not.toContain('secret-name');
  });
});
