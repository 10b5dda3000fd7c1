import { createHash } from 'node:crypto';
import { type Calendar, type Policy, REGION_ZONE } from '../../model/index.ts';
import { inRegion, slaCalendar } from '../../schedule/index.ts';

/** When a policy runs, as written or as its SLA wants it; null: on request only. */
export const calendarOf = ({ calendar, sla }: Pick<Policy, 'calendar' | 'sla'>): Calendar | null =>
  calendar ?? (sla === null ? null : slaCalendar(sla));

/** `West Europe` and `westeurope` are one region. */
export const regionName = (location: string): string => location.toLowerCase().replaceAll(' ', '');

/** Whether a calendar has slots of its own in each region. */
export const isRegional = (calendar: Pick<Calendar, 'timeZone'>): boolean =>
  calendar.timeZone === REGION_ZONE;

/** The calendar as it is read for a machine of a region. Throws `invalidInput` for a region whose zone is not known. */
export const placed = (calendar: Calendar, region: string | null): Calendar =>
  region === null ? calendar : inRegion(calendar, region);

/** A word for what a calendar says, so that an edited one is told from the one before. */
export const wordFor = (calendar: Calendar): string =>
  createHash('sha256').update(JSON.stringify(calendar)).digest('hex').slice(0, 16);
