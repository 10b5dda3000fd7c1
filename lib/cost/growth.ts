/** A month of the cloud's price lists. */
export const HOURS_PER_MONTH = 730;
export const DAYS_PER_MONTH = HOURS_PER_MONTH / 24;

/**
 * The share of what a disk holds that differs after so many days, when a fraction of it is written anew each day, anywhere: what
 * is written twice differs once.
 */
export const changedAfter = (days: number, dailyChange: number): number =>
  1 - (1 - Math.min(1, Math.max(0, dailyChange))) ** Math.max(0, days);
