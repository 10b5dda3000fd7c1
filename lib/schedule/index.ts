export { type CronSchedule, parseSchedule } from './cron.ts';
export { type DueSlots, dueSlots, nextSlots } from './dueSlots.ts';
