import { expect, test } from 'vitest';
import { describeFlagRules, describeRetention } from '../../lib/chain/index.ts';
import { calendarSchema, retentionRulesSchema, slaTemplateSchema } from '../../lib/model/index.ts';
import { describeCalendar, describeSla, describeWhen } from '../../lib/schedule/index.ts';

const words = (schedules: object[], more: object = {}) =>
  describeCalendar(calendarSchema.parse({ timeZone: 'Europe/Berlin', schedules, ...more }));

test.each([
  [{ every: 'day', at: ['22:00'] }, 'daily 22:00'],
  [{ every: 'day', at: ['06:00', '22:00'], days: 'weekdays' }, 'weekdays 06:00 and 22:00'],
  [{ every: 'day', at: ['22:00'], days: ['monday', 'friday'] }, 'Mon and Fri 22:00'],
  [{ every: 'hour', hours: Array.from({ length: 24 }, (_, h) => h) }, 'hourly'],
  [
    { every: 'hour', hours: [8, 9, 10], minutes: [0, 30], days: 'weekdays' },
    'weekdays hourly 08-10 h :00 and :30',
  ],
  [{ every: 'hour', hours: [18, 6] }, 'at 06 and 18 h'],
  [{ every: 'interval', minutes: 15 }, 'every 15 min'],
  [{ every: 'interval', minutes: 240 }, 'every 4 h'],
  [{ every: 'interval', minutes: 1440 }, 'every day'],
  [{ every: 'week', at: ['02:00'], days: ['sunday'] }, 'weekly Sun 02:00'],
  [{ every: 'month', at: ['03:00'], on: 'lastDay' }, 'monthly last day 03:00'],
  [
    { every: 'month', at: ['03:00'], on: { nth: 'first', weekday: 'sunday' }, months: [1, 7] },
    'monthly first Sun 03:00 in Jan and Jul',
  ],
  [
    { every: 'month', at: ['03:00'], on: { day: 31, ifMissing: 'skip' } },
    'monthly 31st if there is one 03:00',
  ],
  [{ every: 'month', at: ['03:00'], on: { day: 12 } }, 'monthly 12th 03:00'],
  [{ every: 'year', month: 12, at: ['23:00'], on: 'lastWeekday' }, 'yearly Dec last weekday 23:00'],
  [{ every: 'cron', cron: '0 22 * * 1-5' }, 'cron 0 22 * * 1-5'],
  [{ every: 'day', at: ['12:00'], makes: 'snapshot' }, 'daily 12:00 (snapshots)'],
  [
    { every: 'week', at: ['12:00'], days: ['sunday'], flags: ['daily', 'weekly'] },
    'weekly Sun 12:00 (flagged daily and weekly)',
  ],
] as const)('%o is told as "%s"', (schedule, expected) => {
  expect(words([schedule])).toBe(`${expected} Europe/Berlin`);
});

test('several schedules share one zone; window and stagger follow', () => {
  const schedules = [
    { every: 'day', at: ['22:00'] },
    { every: 'week', at: ['02:00'], days: ['sunday'] },
  ];
  const window = [
    { start: '22:00', end: '06:00' },
    { days: ['sunday'], start: '00:00', end: '24:00' },
  ];
  expect(words(schedules, { timeZone: 'region', window, staggerMinutes: 30 })).toBe(
    'daily 22:00, weekly Sun 02:00 region time, within 22:00-06:00 and Sun 00:00-24:00, spread over 30 min',
  );
});

test('an SLA in words, and a policy that has neither', () => {
  expect(describeSla(slaTemplateSchema.parse({ rpoMinutes: 60 }))).toBe('SLA 97 %: every hour region time');
  expect(describeWhen({ calendar: null, sla: null })).toBe('on request');
});

test('retention in words: counts and times, in the order of the flags', () => {
  const rules = { yearly: { years: 7 }, weekly: { weeks: 1 }, daily: { points: 14 } };
  expect(describeRetention(retentionRulesSchema.parse({ keep: rules }))).toBe(
    '14 daily, weekly for 1 week, yearly for 7 years',
  );
  expect(describeRetention(retentionRulesSchema.parse({ keep: rules, keepLast: false }))).toContain(
    '; the last one goes too',
  );
  expect(describeFlagRules({})).toBe('nothing');
});
