import type { PointAnswer, SessionAnswer } from '../../cli/answers.ts';
import { type DiskProgress, type Policy, policySchema, type RestorePoint } from '../../lib/model/index.ts';

export const MACHINE = {
  id: '0f9e8d7c-6b5a-4938-8271-605f4e3d2c1b',
  armId: '/subscriptions/s1/resourceGroups/shop/providers/Microsoft.Compute/virtualMachines/web-1',
  name: 'web-1',
  subscriptionId: 's1',
  resourceGroup: 'shop',
  location: 'westeurope',
  powerState: 'running',
  tags: {},
  protectedBy: 'demo',
  protectedBecause: 'resource group shop',
  passedOver: [],
  coverage: 'protected',
  coverageWhy: 'a point of 2026-11-21T22:50:11.123Z',
  rpoSeconds: 3723,
  lastRestorePointAt: '2026-11-21T22:50:11.123Z',
  restorePoints: 2,
};

export const DISK: DiskProgress & { percent: number | null } = {
  name: 'web-1-os',
  number: 0,
  sizeBytes: 2 * 1024 ** 3,
  plannedBytes: 40 * 1024 ** 2,
  doneBytes: 0,
  readBytes: 0,
  storedBytes: 0,
  readReason: 'first',
  percent: 0,
};

export const SESSION: SessionAnswer & { percent: number | null } = {
  id: '06azkc3h3g0000000000',
  kind: 'backup',
  status: 'running',
  phase: 'starting',
  instanceId: 'backup-1',
  parentId: null,
  policyId: null,
  machineId: MACHINE.id,
  machineName: 'web-1',
  reason: 'request',
  startedAt: '2026-11-21T22:50:00.000Z',
  touchedAt: '2026-11-21T22:50:05.000Z',
  endedAt: null,
  cancelRequested: false,
  restorePoint: null,
  disks: [],
  warnings: [],
  notes: [],
  phases: [],
  waits: [],
  throttling: { calls: 0, seconds: 0 },
  error: null,
  percent: null,
};

export const POINT: PointAnswer & RestorePoint = {
  chainId: '0123456789abcdef',
  sequence: 2,
  machineId: MACHINE.id,
  machineName: 'web-1',
  sessionId: SESSION.id,
  kind: 'incremental',
  consistency: 'atomic',
  takenAt: '2026-11-21T22:50:11.000Z',
  committedAt: '2026-11-21T22:50:31.000Z',
  disks: [
    {
      number: 0,
      uniqueId: 'u0',
      name: 'web-1-os',
      role: 'os',
      lun: null,
      sizeBytes: 2 * 1024 ** 3,
      allocatedBytes: 64 * 1024 ** 2,
      readBytes: 3 * 512 * 1024,
      storedBytes: 700_000,
      readReason: 'changedBlocks',
      snapshotId: '/subscriptions/s1/x',
      snapshotFamilyId: 'f0',
    },
  ],
  state: 'ok',
  flags: ['daily', 'weekly'],
  hold: null,
  expiresAt: null,
  immutableUntil: null,
};

export const POLICY: Policy = policySchema.parse({
  id: 'demo',
  enabled: true,
  scope: { resourceGroups: ['shop'] },
  calendar: { schedules: [{ every: 'cron', cron: '*/2 * * * *' }] },
});
