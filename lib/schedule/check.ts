import { type Calendar, HoldfastError, REGION_ZONE } from '../model/index.ts';
import { parseSchedule } from './cron.ts';
import { inZone } from './regions.ts';
import { slotsAfter } from './slots.ts';

/** Far enough for every rule to have come due. */
const FROM = new Date('2024-01-01T00:00:00Z');

/**
 * Refuses what the schema cannot see: a cron that cannot be read, and a schedule that never comes due, such as one that lies
 * outside the window or on 30 February. Throws `invalidInput` with the field.
 */
export function checkCalendar(calendar: Calendar): void {
  const placed = calendar.timeZone === REGION_ZONE ? inZone(calendar, 'UTC') : calendar;
  for (const [index, schedule] of calendar.schedules.entries()) {
    const target = `calendar.schedules[${index}]`;
    if (schedule.every === 'cron') {
      try {
        parseSchedule({ cron: schedule.cron, timeZone: 'UTC' });
      } catch (cause) {
        const message = cause instanceof Error ? cause.message : String(cause);
        throw new HoldfastError('invalidInput', message, { target: `${target}.cron`, cause });
      }
    }
    const alone = { ...placed, schedules: [schedule] };
    if (slotsAfter(alone, FROM).next().done === true) {
      const why =
        calendar.window === null ? 'no such day ever comes' : 'all of its times lie outside the window';
      throw new HoldfastError(
        'invalidInput',
        `Schedule ${index + 1} (every ${schedule.every}) never comes due: ${why}.`,
        { target },
      );
    }
  }
}
