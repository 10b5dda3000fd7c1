export { checkCalendar } from './check.ts';
export { type CronSchedule, parseSchedule } from './cron.ts';
export { isoDate } from './days.ts';
export { describeCalendar, describeSla, describeWhen } from './describe.ts';
export {
  type DueCalendarSlots,
  type DueSlots,
  dueCalendarSlots,
  dueSlots,
  nextSlots,
} from './dueSlots.ts';
export { inRegion, regionTimeZone } from './regions.ts';
export { type Compliance, meanCompliance, type SlaMachine, slaCalendar, slaCompliance } from './sla.ts';
export {
  nextCalendarSlots,
  owedSlot,
  type Slot,
  slotsAfter,
  slotsBetween,
  zoneOf,
} from './slots.ts';
export { staggeredStart } from './stagger.ts';
export { type WallClock, type WallTime, wallClock } from './wallClock.ts';
