import { type Calendar, calendarSchema, type Policy, policySchema } from '../../../lib/model/index.ts';

const byTag = (value: string) => ({ tags: [{ key: 'policy', value }] });

/** At a time that the clock skips once and shows twice, rarer ones at the same time, and snapshots of their own. */
export const NIGHTLY: Policy = policySchema.parse({
  id: 'nightly',
  scope: byTag('nightly'),
  mover: 'inline',
  calendar: {
    timeZone: 'Europe/Berlin',
    schedules: [
      { every: 'day', at: ['02:30'], days: ['thursday', 'sunday'] },
      { every: 'week', at: ['02:30'], days: ['sunday'] },
      { every: 'month', at: ['02:30'], on: 'lastDay' },
      { every: 'year', at: ['02:30'], month: 6, on: { nth: 'first', weekday: 'monday' } },
      { every: 'week', at: ['12:00'], days: ['wednesday'], makes: 'snapshot' },
    ],
  },
  retention: {
    keep: { daily: { points: 5 }, weekly: { weeks: 3 }, monthly: { months: 4 }, yearly: { years: 2 } },
    timeZone: 'Europe/Berlin',
  },
  snapshots: { retention: { keep: { daily: { points: 2 }, weekly: { points: 2 } } } },
});

/** A grid on some days, a cron in the hour that the clock skips, and machines that start one after another. */
export const GRID: Policy = policySchema.parse({
  id: 'grid',
  scope: byTag('grid'),
  mover: 'inline',
  calendar: {
    timeZone: 'America/New_York',
    staggerMinutes: 45,
    schedules: [
      { every: 'hour', hours: [1], minutes: [30], days: ['sunday'] },
      { every: 'cron', cron: '30 2 8 * *', flags: ['monthly'] },
    ],
  },
  retention: { keep: { daily: { days: 10 }, monthly: { points: 3 } }, timeZone: 'America/New_York' },
  snapshots: { retention: { keep: { daily: { days: 3 } }, timeZone: 'America/New_York' } },
});

const SLA = {
  rpoMinutes: 1440,
  window: [{ days: ['monday', 'friday'], start: '20:00', end: '04:00' }],
  schedules: [
    { every: 'week', days: ['friday'], at: ['20:00'] },
    { every: 'month', on: { nth: 'last', weekday: 'friday' }, at: ['20:00'] },
  ],
} as const;

/** A promise in the time of each machine's region, kept in a window over midnight. */
export const PROMISE: Policy = policySchema.parse({
  id: 'promise',
  scope: byTag('promise'),
  mover: 'inline',
  sla: { timeZone: 'region', ...SLA },
  retention: { keep: { daily: { days: 7 }, weekly: { points: 3 }, monthly: { months: 3 } } },
  snapshots: { retention: { keep: { daily: { points: 1 } } } },
});

/** What the promise comes to, written down by hand. */
export const promiseIn = (timeZone: string): Calendar =>
  calendarSchema.parse({
    timeZone,
    window: SLA.window,
    schedules: [{ every: 'interval', minutes: SLA.rpoMinutes }, ...SLA.schedules],
  });
