import type { PolicyInput } from '../../lib/model/index.ts';
import { DEMO } from './subscription.ts';

/**
 * What protects the demo: a calendar for the whole shop, and a promise (an SLA) for what takes orders. Days are minutes here,
 * so that flags, removed restore points and the reasons show while somebody watches. A machine that both name, db-1, belongs
 * to the one with the SLA.
 */
export const DEMO_POLICIES: readonly PolicyInput[] = [
  {
    id: 'shop',
    description: 'The whole shop, every three minutes; every second time is a weekly one too.',
    scope: { resourceGroups: [DEMO.resourceGroup] },
    calendar: {
      timeZone: 'Europe/Amsterdam',
      schedules: [
        { every: 'cron', cron: '*/3 * * * *', flags: ['daily'] },
        { every: 'cron', cron: '*/6 * * * *', flags: ['weekly'] },
      ],
    },
    retention: { keep: { daily: { points: 2 }, weekly: { points: 3 } }, timeZone: 'Europe/Amsterdam' },
    snapshots: { retention: { keep: { daily: { points: 2 } } }, tags: { team: 'shop' } },
  },
  {
    id: 'orders',
    description: 'What takes orders: never more than five minutes lost. The archive is kept elsewhere.',
    priority: 100,
    scope: {
      tags: [{ key: 'tier', value: 'gold' }],
      exclude: { disks: [{ name: '*-archive' }] },
    },
    sla: {
      rpoMinutes: 5,
      thresholdPercent: 95,
      schedules: [{ every: 'cron', cron: '*/10 * * * *', flags: ['weekly'] }],
    },
    retention: { keep: { daily: { points: 3 }, weekly: { points: 2 } } },
    snapshots: { retention: { keep: { daily: { points: 1 } } }, tags: { team: 'shop', tier: 'gold' } },
    retry: { attempts: 2, waitMinutes: 1 },
  },
];
