import { z } from 'zod';

/**
 * When backups are made, as a person writes it down. All times of day are wall-clock times of the calendar's time zone;
 * lib/schedule turns them into instants.
 */

/** What a restore point or snapshot stands for, and so how long it is kept. One may carry several. */
export const FLAGS = ['daily', 'weekly', 'monthly', 'yearly'] as const;
export const flagSchema = z.enum(FLAGS);
export type Flag = z.infer<typeof flagSchema>;

/** `DW`: how flags are shown where room is short. */
export const flagLetters = (flags: readonly Flag[]): string =>
  FLAGS.filter((flag) => flags.includes(flag))
    .map((flag) => flag.charAt(0).toUpperCase())
    .join('');

/** Every flag that is in one of the lists, once, in the order of `FLAGS`. */
export const joinFlags = (...lists: readonly (readonly Flag[])[]): Flag[] =>
  FLAGS.filter((flag) => lists.some((list) => list.includes(flag)));

/** Monday first: index 0 is ISO weekday 1. */
export const WEEKDAYS = [
  'monday',
  'tuesday',
  'wednesday',
  'thursday',
  'friday',
  'saturday',
  'sunday',
] as const;
export const weekdaySchema = z.enum(WEEKDAYS);
export type Weekday = z.infer<typeof weekdaySchema>;

/** Zones that were asked about and exist: asking Intl costs more than parsing the rest of a policy. */
const known = new Set<string>();

function isTimeZone(name: string): boolean {
  if (known.has(name)) return true;
  try {
    new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions();
  } catch {
    return false;
  }
  known.add(name);
  return true;
}

export const timeZoneSchema = z.string().refine(isTimeZone, 'an IANA time zone, such as Europe/Berlin');

/** Stands for the time zone of each machine's Azure region. */
export const REGION_ZONE = 'region';

/** `HH:MM`, 00:00 to 23:59. */
export const timeOfDaySchema = z.string().regex(/^([01]\d|2[0-3]):[0-5]\d$/, 'a time of day, such as 07:30');
/** As a time of day; `24:00` is the end of the day. */
const endOfSpanSchema = z
  .string()
  .regex(/^(([01]\d|2[0-3]):[0-5]\d|24:00)$/, 'a time of day, such as 06:00, or 24:00');

export const daysSchema = z.union([z.enum(['every', 'weekdays']), z.array(weekdaySchema).min(1)]);
export type Days = z.infer<typeof daysSchema>;

const monthSchema = z.number().int().min(1).max(12);
const ALL_MONTHS = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];

export const dayOfMonthSchema = z.union([
  /** `lastWeekday`: the last of Monday to Friday. */
  z.enum(['lastDay', 'lastWeekday']),
  z.strictObject({
    day: z.number().int().min(1).max(31),
    /** In a month that is too short for it. */
    ifMissing: z.enum(['lastDay', 'skip']).default('lastDay'),
  }),
  z.strictObject({ nth: z.enum(['first', 'second', 'third', 'fourth', 'last']), weekday: weekdaySchema }),
]);
export type DayOfMonth = z.infer<typeof dayOfMonthSchema>;

const times = z.array(timeOfDaySchema).min(1);
const flags = (usual: Flag) => z.array(flagSchema).min(1).default([usual]);
/** A backup is made from a snapshot, so `backup` makes both. */
const makes = z.enum(['snapshot', 'backup']).default('backup');

/** Lengths that divide a day, so that the grid is the same each day. Minutes. */
export const INTERVALS = [5, 10, 15, 20, 30, 60, 120, 180, 240, 360, 480, 720, 1440] as const;
export const intervalSchema = z.literal(INTERVALS);

export const scheduleSchema = z.discriminatedUnion('every', [
  /** A grid: at each of the minutes of each of the hours. */
  z.strictObject({
    every: z.literal('hour'),
    hours: z.array(z.number().int().min(0).max(23)).min(1),
    minutes: z.array(z.number().int().min(0).max(59)).min(1).default([0]),
    days: daysSchema.default('every'),
    makes,
    flags: flags('daily'),
  }),
  /** Every so many minutes from each opening of the calendar's window; without a window, from midnight. */
  z.strictObject({ every: z.literal('interval'), minutes: intervalSchema, makes, flags: flags('daily') }),
  z.strictObject({
    every: z.literal('day'),
    at: times,
    days: daysSchema.default('every'),
    makes,
    flags: flags('daily'),
  }),
  z.strictObject({
    every: z.literal('week'),
    at: times,
    days: z.array(weekdaySchema).min(1),
    makes,
    flags: flags('weekly'),
  }),
  z.strictObject({
    every: z.literal('month'),
    at: times,
    on: dayOfMonthSchema,
    months: z.array(monthSchema).min(1).default(ALL_MONTHS),
    makes,
    flags: flags('monthly'),
  }),
  z.strictObject({
    every: z.literal('year'),
    at: times,
    month: monthSchema,
    on: dayOfMonthSchema,
    makes,
    flags: flags('yearly'),
  }),
  /** Five fields, minute to weekday. */
  z.strictObject({ every: z.literal('cron'), cron: z.string(), makes, flags: flags('daily') }),
]);
export type Schedule = z.infer<typeof scheduleSchema>;

/**
 * When work may start. A span belongs to the day on which it begins; its end is exclusive, and lies on the next day when it
 * is not after its start. Work that runs when the window closes goes on.
 */
export const windowSchema = z.array(
  z.strictObject({ days: daysSchema.default('every'), start: timeOfDaySchema, end: endOfSpanSchema }),
);
export type BackupWindow = z.infer<typeof windowSchema>;

export const calendarSchema = z.strictObject({
  timeZone: z.union([z.literal(REGION_ZONE), timeZoneSchema]).default('UTC'),
  schedules: z.array(scheduleSchema).min(1),
  /** Null: at any time. */
  window: windowSchema.min(1).nullable().default(null),
  /** Machines start spread over so many minutes after the slot, each always at the same place. 0: all at once. */
  staggerMinutes: z.number().int().min(0).max(720).default(0),
});
export type Calendar = z.infer<typeof calendarSchema>;

/** A promise about restore points: at least one in every `rpoMinutes` of the window, in so many percent of the cases. */
export const slaTemplateSchema = z.strictObject({
  timeZone: z.union([z.literal(REGION_ZONE), timeZoneSchema]).default(REGION_ZONE),
  rpoMinutes: intervalSchema,
  window: windowSchema.min(1).nullable().default(null),
  thresholdPercent: z.number().min(0).max(100).default(97),
  makes,
  /** Rarer schedules beside the interval: those that flag weekly, monthly and yearly points. */
  schedules: z.array(scheduleSchema).default([]),
  staggerMinutes: z.number().int().min(0).max(720).default(0),
});
export type SlaTemplate = z.infer<typeof slaTemplateSchema>;
