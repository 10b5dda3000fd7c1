/**
 * The independent model of a calendar: it walks real minutes one by one, reads the clock on the wall with Intl, and asks of
 * each wall minute whether a schedule means it. A wall minute is due when the clock first reaches or passes it.
 */
import type { BackupWindow, Calendar, Flag, Schedule } from '../../lib/model/index.ts';

const NAMES = ['sunday', 'monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday'];
const MINUTE = 60_000;

export interface ModelSlot {
  readonly at: number;
  readonly backup: boolean;
  readonly flags: string;
  readonly backupFlags: string;
}

/** A minute as the wall shows it, with what a rule may ask of its day. */
interface WallMinute {
  readonly minute: number;
  /** `02:30`. */
  readonly text: string;
  readonly date: ModelDate;
}

interface ModelDate {
  readonly month: number;
  readonly day: number;
  readonly weekday: string;
  /** Which of its weekday in the month, from 1, and whether it is the last. */
  readonly nth: number;
  readonly lastOfItsWeekday: boolean;
  readonly lastDay: number;
  readonly lastWorkday: number;
  readonly before: () => ModelDate;
}

const dates = new Map<number, ModelDate>();

/** Facts about a date by counting through its month day by day. */
function dateOf(utcMidnight: number): ModelDate {
  const known = dates.get(utcMidnight);
  if (known) return known;
  const date = new Date(utcMidnight);
  const month = date.getUTCMonth();
  const weekday = NAMES[date.getUTCDay()] ?? '';
  let nth = 0;
  let ofItsWeekday = 0;
  let lastDay = 0;
  let lastWorkday = 0;
  const walk = new Date(Date.UTC(date.getUTCFullYear(), month, 1));
  while (walk.getUTCMonth() === month) {
    const name = NAMES[walk.getUTCDay()] ?? '';
    if (name === weekday) {
      ofItsWeekday++;
      if (walk.getUTCDate() === date.getUTCDate()) nth = ofItsWeekday;
    }
    lastDay = walk.getUTCDate();
    if (name !== 'saturday' && name !== 'sunday') lastWorkday = lastDay;
    walk.setUTCDate(walk.getUTCDate() + 1);
  }
  const made: ModelDate = {
    month: month + 1,
    day: date.getUTCDate(),
    weekday,
    nth,
    lastOfItsWeekday: nth === ofItsWeekday,
    lastDay,
    lastWorkday,
    before: () => dateOf(utcMidnight - 1440 * MINUTE),
  };
  dates.set(utcMidnight, made);
  return made;
}

/** The real minutes of a stretch in a zone, and the wall minutes that the clock reaches at each. */
export interface WallTable {
  readonly zone: string;
  readonly start: number;
  readonly arrivals: readonly (readonly WallMinute[])[];
  /** What the clock shows. */
  readonly shown: readonly WallMinute[];
}

export function wallTable(zone: string, from: string, days: number): WallTable {
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone: zone,
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
  });
  const start = Date.parse(from);
  const arrivals: WallMinute[][] = [];
  const shown: WallMinute[] = [];
  let highest: number | null = null;
  let ahead = 0;
  for (let i = 0; i < days * 1440; i++) {
    // Clocks are changed at quarters of an hour; asking Intl each minute would take most of a test's time.
    if (i % 15 === 0) ahead = readWall(format, start + i * MINUTE) - (start + i * MINUTE);
    const wall = start + i * MINUTE + ahead;
    const here: WallMinute[] = [];
    highest ??= wall - MINUTE;
    for (let reached = highest + MINUTE; reached <= wall; reached += MINUTE) here.push(wallMinute(reached));
    highest = Math.max(highest, wall);
    arrivals.push(here);
    shown.push(wallMinute(wall));
  }
  return { zone, start, arrivals, shown };
}

function readWall(format: Intl.DateTimeFormat, at: number): number {
  const part: Record<string, number> = {};
  for (const { type, value } of format.formatToParts(at)) part[type] = Number(value);
  return Date.UTC(
    part['year'] ?? 0,
    (part['month'] ?? 0) - 1,
    part['day'] ?? 0,
    part['hour'] ?? 0,
    part['minute'] ?? 0,
  );
}

function wallMinute(wall: number): WallMinute {
  const midnight = Math.floor(wall / (1440 * MINUTE)) * 1440 * MINUTE;
  const minute = (wall - midnight) / MINUTE;
  return { minute, text: clockText(minute), date: dateOf(midnight) };
}

function inDays(days: 'every' | 'weekdays' | readonly string[], { weekday }: ModelDate): boolean {
  if (days === 'every') return true;
  if (days === 'weekdays') return !weekday.startsWith('s');
  return days.includes(weekday);
}

const clockText = (minute: number): string =>
  `${String(Math.floor(minute / 60)).padStart(2, '0')}:${String(minute % 60).padStart(2, '0')}`;

/** Minutes since each opening that is still open at this minute. */
function openFor(window: BackupWindow, { minute, text, date }: WallMinute): number[] {
  return window.flatMap(({ days, start, end }) => {
    const crosses = end <= start;
    const began = Number(start.slice(0, 2)) * 60 + Number(start.slice(3));
    const found: number[] = [];
    if (inDays(days, date) && text >= start && (crosses || text < end)) found.push(minute - began);
    if (crosses && inDays(days, date.before()) && text < end) found.push(minute + 1440 - began);
    return found;
  });
}

function onDay(schedule: Extract<Schedule, { every: 'month' | 'year' }>, date: ModelDate): boolean {
  if (schedule.every === 'month' ? !schedule.months.includes(date.month) : schedule.month !== date.month)
    return false;
  const { on } = schedule;
  if (on === 'lastDay') return date.day === date.lastDay;
  if (on === 'lastWeekday') return date.day === date.lastWorkday;
  if ('nth' in on) {
    if (on.weekday !== date.weekday) return false;
    return on.nth === 'last'
      ? date.lastOfItsWeekday
      : date.nth === { first: 1, second: 2, third: 3, fourth: 4 }[on.nth];
  }
  if (date.day === on.day) return true;
  return on.ifMissing === 'lastDay' && on.day > date.lastDay && date.day === date.lastDay;
}

function means(schedule: Schedule, window: BackupWindow | null, wall: WallMinute): boolean {
  const { minute, text, date } = wall;
  switch (schedule.every) {
    case 'hour':
      return (
        schedule.minutes.includes(minute % 60) &&
        schedule.hours.includes(Math.floor(minute / 60)) &&
        inDays(schedule.days, date)
      );
    case 'interval':
      return window === null
        ? minute % schedule.minutes === 0
        : openFor(window, wall).some((since) => since % schedule.minutes === 0);
    case 'day':
    case 'week':
      return schedule.at.includes(text) && inDays(schedule.days, date);
    case 'month':
    case 'year':
      return schedule.at.includes(text) && onDay(schedule, date);
    case 'cron':
      return meansCron(schedule.cron, minute, date);
  }
}

const crons = new Map<string, Set<number>[]>();

/** The values that each field lists. */
function cronFields(cron: string): Set<number>[] {
  const known = crons.get(cron);
  if (known) return known;
  const fields = cron.split(' ').map((field) => {
    const values = new Set<number>();
    for (const part of field.split(',')) {
      const [range = '', step = '1'] = part.split('/');
      const [from = '0', to = from] = range === '*' ? ['0', '59'] : range.split('-');
      for (let value = Number(from); value <= Number(to); value += Number(step)) values.add(value);
    }
    return values;
  });
  crons.set(cron, fields);
  return fields;
}

/** The little of cron that the tests use: `*`, steps, lists and ranges of numbers; no day of month together with a weekday. */
function meansCron(cron: string, minute: number, date: ModelDate): boolean {
  const [m, h, day, month, weekday] = cronFields(cron);
  return Boolean(
    m?.has(minute % 60) &&
      h?.has(Math.floor(minute / 60)) &&
      day?.has(date.day) &&
      month?.has(date.month) &&
      weekday?.has(NAMES.indexOf(date.weekday)),
  );
}

const join = (flags: readonly Flag[]): string => [...new Set(flags)].sort().join(',');

/** All slots at real minutes `from` to `to` of the table, both counted from its start, `to` exclusive. */
export function modelSlots(calendar: Calendar, table: WallTable, from: number, to: number): ModelSlot[] {
  const slots: ModelSlot[] = [];
  for (let i = from; i < to; i++) {
    const here: Schedule[] = [];
    for (const wall of table.arrivals[i] ?? []) {
      for (const schedule of calendar.schedules) {
        if (!means(schedule, calendar.window, wall)) continue;
        if (calendar.window === null || openFor(calendar.window, wall).length > 0) here.push(schedule);
      }
    }
    if (here.length === 0) continue;
    const backups = here.filter(({ makes }) => makes === 'backup');
    slots.push({
      at: table.start + i * MINUTE,
      backup: backups.length > 0,
      flags: join(here.flatMap(({ flags }) => flags)),
      backupFlags: join(backups.flatMap(({ flags }) => flags)),
    });
  }
  return slots;
}

/** Is the window open at a real minute of the table? */
export const modelOpen = (window: BackupWindow | null, table: WallTable, index: number): boolean => {
  const wall = table.shown[index];
  return window === null || (wall !== undefined && openFor(window, wall).length > 0);
};
