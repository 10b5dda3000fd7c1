import fc from 'fast-check';
import {
  type BackupWindow,
  type Calendar,
  type DayOfMonth,
  type Days,
  FLAGS,
  INTERVALS,
  type Schedule,
  WEEKDAYS,
} from '../../lib/model/index.ts';

const pad = (n: number) => String(n).padStart(2, '0');

/** Times of day, with those around which clocks are changed more often than others. */
export const timeOfDay: fc.Arbitrary<string> = fc
  .tuple(
    fc.oneof(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 0, max: 23 })),
    fc.oneof(fc.constantFrom(0, 15, 30, 45), fc.integer({ min: 0, max: 59 })),
  )
  .map(([hour, minute]) => `${pad(hour)}:${pad(minute)}`);

const times = fc.uniqueArray(timeOfDay, { minLength: 1, maxLength: 3 });
const weekdays = fc.uniqueArray(fc.constantFrom(...WEEKDAYS), { minLength: 1, maxLength: 4 });
export const days: fc.Arbitrary<Days> = fc.oneof(
  fc.constantFrom('every' as const, 'weekdays' as const),
  weekdays,
);
const common = {
  makes: fc.constantFrom('backup' as const, 'snapshot' as const),
  flags: fc.uniqueArray(fc.constantFrom(...FLAGS), { minLength: 1, maxLength: 2 }),
};

export const dayOfMonth: fc.Arbitrary<DayOfMonth> = fc.oneof(
  fc.constantFrom('lastDay' as const, 'lastWeekday' as const),
  fc.record({
    day: fc.oneof(fc.integer({ min: 1, max: 31 }), fc.integer({ min: 28, max: 31 })),
    ifMissing: fc.constantFrom('lastDay' as const, 'skip' as const),
  }),
  fc.record({
    nth: fc.constantFrom(
      'first' as const,
      'second' as const,
      'third' as const,
      'fourth' as const,
      'last' as const,
    ),
    weekday: fc.constantFrom(...WEEKDAYS),
  }),
);

const cronField = (min: number, max: number): fc.Arbitrary<string> =>
  fc.oneof(
    fc.constant('*'),
    fc.integer({ min, max }).map(String),
    fc
      .uniqueArray(fc.integer({ min, max }), { minLength: 2, maxLength: 3 })
      .map((values) => values.sort((a, b) => a - b).join(',')),
    fc
      .tuple(fc.integer({ min, max }), fc.integer({ min, max }))
      .map(([a, b]) => `${Math.min(a, b)}-${Math.max(a, b)}`),
  );
const cron = fc
  .tuple(
    fc.oneof(
      cronField(0, 59).filter((field) => field !== '*'),
      fc.constantFrom('*/10', '*/15', '0'),
    ),
    fc.oneof(cronField(0, 23), fc.constant('*/6')),
    fc.oneof(
      cronField(1, 31).map((day) => `${day} * *`),
      cronField(0, 6).map((weekday) => `* * ${weekday}`),
    ),
  )
  .map((fields) => fields.join(' '));

export const schedule: fc.Arbitrary<Schedule> = fc.oneof(
  fc.record({
    every: fc.constant('hour' as const),
    hours: fc.uniqueArray(fc.integer({ min: 0, max: 23 }), { minLength: 1, maxLength: 8 }),
    minutes: fc.uniqueArray(fc.constantFrom(0, 5, 15, 20, 30, 45, 59), { minLength: 1, maxLength: 3 }),
    days,
    ...common,
  }),
  fc.record({
    every: fc.constant('interval' as const),
    minutes: fc.constantFrom(...INTERVALS.filter((minutes) => minutes >= 15)),
    ...common,
  }),
  fc.record({ every: fc.constant('day' as const), at: times, days, ...common }),
  fc.record({ every: fc.constant('week' as const), at: times, days: weekdays, ...common }),
  fc.record({
    every: fc.constant('month' as const),
    at: times,
    on: dayOfMonth,
    months: fc.uniqueArray(fc.integer({ min: 1, max: 12 }), { minLength: 6, maxLength: 12 }),
    ...common,
  }),
  fc.record({
    every: fc.constant('year' as const),
    at: times,
    month: fc.integer({ min: 1, max: 12 }),
    on: dayOfMonth,
    ...common,
  }),
  fc.record({ every: fc.constant('cron' as const), cron, ...common }),
);

export const window: fc.Arbitrary<BackupWindow | null> = fc.option(
  fc.array(fc.record({ days, start: timeOfDay, end: fc.oneof(timeOfDay, fc.constant('24:00')) }), {
    minLength: 1,
    maxLength: 2,
  }),
  { nil: null, freq: 2 },
);

export const calendarIn = (timeZone: string): fc.Arbitrary<Calendar> =>
  fc.record({
    timeZone: fc.constant(timeZone),
    schedules: fc.array(schedule, { minLength: 1, maxLength: 4 }),
    window,
    staggerMinutes: fc.constant(0),
  });
