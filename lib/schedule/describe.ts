import {
  type BackupWindow,
  type Calendar,
  type DayOfMonth,
  type Days,
  type Policy,
  REGION_ZONE,
  type Schedule,
  type SlaTemplate,
  type Weekday,
} from '../model/index.ts';

/** Schedules in the words of people. Times of day stay as they are written; the zone comes last, once. */

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
const USUAL_FLAG = {
  hour: 'daily',
  interval: 'daily',
  day: 'daily',
  week: 'weekly',
  month: 'monthly',
  year: 'yearly',
  cron: 'daily',
} as const;

/** `daily 22:00 Europe/Berlin`; `on request` where a policy has neither calendar nor SLA. */
export const describeWhen = ({ calendar, sla }: Pick<Policy, 'calendar' | 'sla'>): string =>
  calendar ? describeCalendar(calendar) : sla ? describeSla(sla) : 'on request';

/** `daily 22:00, weekly Sun 02:00 Europe/Berlin, within 22:00-06:00`. */
export function describeCalendar({ schedules, timeZone, window, staggerMinutes }: Calendar): string {
  const when = schedules.map((schedule) => describeSchedule(schedule)).join(', ');
  return [
    `${when} ${zone(timeZone)}`,
    ...(window === null ? [] : [`within ${describeWindow(window)}`]),
    ...(staggerMinutes === 0 ? [] : [`spread over ${minutesText(staggerMinutes)}`]),
  ].join(', ');
}

/** `SLA 97 %: every 4 h region time`. */
export function describeSla(template: SlaTemplate): string {
  const { rpoMinutes, thresholdPercent, makes, schedules, timeZone, window, staggerMinutes } = template;
  const all: Schedule[] = [{ every: 'interval', minutes: rpoMinutes, makes, flags: ['daily'] }, ...schedules];
  return `SLA ${thresholdPercent} %: ${describeCalendar({ schedules: all, timeZone, window, staggerMinutes })}`;
}

const zone = (timeZone: string): string => (timeZone === REGION_ZONE ? 'region time' : timeZone);

function describeSchedule(schedule: Schedule): string {
  const { makes, flags, every } = schedule;
  const usual = flags.length === 1 && flags[0] === USUAL_FLAG[every];
  const notes = [
    ...(makes === 'snapshot' ? ['snapshots'] : []),
    ...(usual ? [] : [`flagged ${flags.join(' and ')}`]),
  ];
  return `${timesText(schedule)}${notes.length === 0 ? '' : ` (${notes.join(', ')})`}`;
}

function timesText(schedule: Schedule): string {
  switch (schedule.every) {
    case 'hour':
      return `${onDays('', schedule.days)}${hoursText(schedule.hours, schedule.minutes)}`;
    case 'interval':
      return `every ${minutesText(schedule.minutes)}`;
    case 'day':
      return `${onDays('daily ', schedule.days)}${listOf(schedule.at)}`;
    case 'week':
      return `weekly ${listOf(schedule.days.map(dayText))} ${listOf(schedule.at)}`;
    case 'month': {
      const months = schedule.months.length === 12 ? '' : ` in ${listOf(schedule.months.map(monthText))}`;
      return `monthly ${dayOfMonthText(schedule.on)} ${listOf(schedule.at)}${months}`;
    }
    case 'year':
      return `yearly ${monthText(schedule.month)} ${dayOfMonthText(schedule.on)} ${listOf(schedule.at)}`;
    case 'cron':
      return `cron ${schedule.cron}`;
  }
}

/** `everyDay` is what stands where nothing limits the days. */
const onDays = (everyDay: string, days: Days): string =>
  days === 'every' ? everyDay : days === 'weekdays' ? 'weekdays ' : `${listOf(days.map(dayText))} `;

/** `hourly`, `hourly :00 and :30`, `every hour 08-18 h`, `at 06, 12 and 18 h`. */
function hoursText(hours: readonly number[], minutes: readonly number[]): string {
  const sorted = [...new Set(hours)].toSorted((a, b) => a - b);
  const [first = 0] = sorted;
  const run = sorted.every((hour, index) => hour === first + index) && sorted.length > 2;
  const past = listOf(
    [...new Set(minutes)].toSorted((a, b) => a - b).map((minute) => `:${twoDigits(minute)}`),
  );
  const at = past === ':00' ? '' : ` ${past}`;
  if (sorted.length === 24) return `hourly${at}`;
  if (run) return `hourly ${twoDigits(first)}-${twoDigits(sorted.at(-1) ?? first)} h${at}`;
  return `at ${listOf(sorted.map(twoDigits))} h${at}`;
}

/** `15 min`, `4 h`, `day`. */
function minutesText(minutes: number): string {
  if (minutes === 1440) return 'day';
  if (minutes === 60) return 'hour';
  return minutes % 60 === 0 ? `${minutes / 60} h` : `${minutes} min`;
}

function dayOfMonthText(on: DayOfMonth): string {
  if (on === 'lastDay') return 'last day';
  if (on === 'lastWeekday') return 'last weekday';
  if ('day' in on)
    return `${ordinal(on.day)}${on.ifMissing === 'skip' && on.day > 28 ? ' if there is one' : ''}`;
  return `${on.nth} ${dayText(on.weekday)}`;
}

function ordinal(day: number): string {
  const ending = day % 100 > 10 && day % 100 < 14 ? 'th' : (['th', 'st', 'nd', 'rd'][day % 10] ?? 'th');
  return `${day}${ending}`;
}

const describeWindow = (window: BackupWindow): string =>
  window.map(({ days, start, end }) => `${onDays('', days)}${start}-${end}`).join(' and ');

const dayText = (day: Weekday): string => `${day.charAt(0).toUpperCase()}${day.slice(1, 3)}`;
const monthText = (month: number): string => MONTHS[month - 1] ?? String(month);
const twoDigits = (n: number): string => String(n).padStart(2, '0');
const listOf = (words: readonly string[]): string =>
  words.length < 2 ? words.join() : `${words.slice(0, -1).join(', ')} and ${words.at(-1)}`;
