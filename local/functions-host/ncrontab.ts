import { Cron } from 'croner';
import { fromSettings } from './hostJson.ts';

export interface Schedule {
  /** The expression after settings have been put in. */
  expression: string;
  /** The first occurrence after `from`. */
  next(from: Date): Date;
  /** The shortest distance of two occurrences, ms, as seen from `from`. */
  shortestInterval(from: Date): number;
}

/**
 * Reads the schedule of a timer trigger: NCRONTAB with six fields (second first) or five, or a time span
 * `hh:mm:ss` between runs; `%SETTING%` is replaced. Throws on anything else. Days of month and of week must
 * both match, as in NCRONTAB. Times are in UTC, or in the IANA zone of WEBSITE_TIME_ZONE.
 */
export function parseSchedule(text: string): Schedule {
  const expression = fromSettings(text).trim();
  const span = /^(\d{1,2}):(\d{2}):(\d{2})$/.exec(expression);
  if (span) return every(expression, span.slice(1).map(Number));
  const fields = expression.split(/\s+/);
  // Croner knows more than NCRONTAB does; production would refuse it.
  const plain = fields.every((field) => /^[\d*,/\-a-z]+$/i.test(field) && !/^[lw?]$/i.test(field));
  if (!plain || fields.length < 5 || fields.length > 6) {
    throw new Error(`"${text}" is not an NCRONTAB schedule; write six fields, like "0 */5 * * * *".`);
  }
  const timezone = process.env['WEBSITE_TIME_ZONE'] ?? 'UTC';
  const six = fields.length === 5 ? `0 ${expression}` : expression;
  const cron = readCron(six, timezone, text);
  const next = (from: Date): Date => {
    const found = cron.nextRun(from);
    if (!found) throw new Error(`The schedule "${text}" has no occurrence after ${from.toISOString()}.`);
    return found;
  };
  const shortestInterval = (from: Date): number => {
    const runs = cron.nextRuns(5, from).map((run) => run.getTime());
    return Math.min(...runs.slice(1).map((run, index) => run - (runs[index] ?? 0)));
  };
  next(new Date());
  return { expression, next, shortestInterval };
}

function readCron(pattern: string, timezone: string, text: string): Cron {
  try {
    return new Cron(pattern, { timezone, mode: '6-part', domAndDow: true, paused: true });
  } catch (error) {
    throw new Error(`"${text}" is not an NCRONTAB schedule: ${(error as Error).message}`, { cause: error });
  }
}

function every(expression: string, [hours = 0, minutes = 0, seconds = 0]: number[]): Schedule {
  const interval = ((hours * 60 + minutes) * 60 + seconds) * 1000;
  if (interval === 0) throw new Error(`"${expression}" is not a schedule: the time span is zero.`);
  return {
    expression,
    next: (from) => new Date(from.getTime() + interval),
    shortestInterval: () => interval,
  };
}
