import { Cron } from 'croner';
import { HoldfastError } from '../model/index.ts';

export interface CronSchedule {
  /** Five fields, minute to weekday. */
  readonly cron: string;
  /** IANA name. */
  readonly timeZone: string;
}

/** Throws `invalidInput` with the field and croner's word on it when the pattern or the zone cannot be read. */
export function parseSchedule(schedule: CronSchedule): Cron {
  if (schedule.cron.trim().split(/\s+/).length !== 5) {
    throw new HoldfastError(
      'invalidInput',
      `The schedule "${schedule.cron}" needs five fields: minute hour day month weekday.`,
      {
        target: 'schedule.cron',
      },
    );
  }
  try {
    Intl.DateTimeFormat('en', { timeZone: schedule.timeZone });
  } catch (cause) {
    throw new HoldfastError(
      'invalidInput',
      `"${schedule.timeZone}" is not an IANA time zone, such as Europe/Berlin.`,
      {
        target: 'schedule.timeZone',
        cause,
      },
    );
  }
  try {
    return new Cron(schedule.cron, { timezone: schedule.timeZone, paused: true });
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new HoldfastError('invalidInput', `The schedule "${schedule.cron}" cannot be read: ${why}`, {
      target: 'schedule.cron',
      cause,
    });
  }
}
