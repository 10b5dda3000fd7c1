import { createHash } from 'node:crypto';
import type { Calendar } from '../model/index.ts';
import { zoneOf } from './slots.ts';
import { wallClock } from './wallClock.ts';
import { minutesUntilClosed } from './window.ts';

/** Where a key lies between 0 and 1, always the same, and evenly over many keys. */
function placeOf(key: string): number {
  return createHash('sha256').update(key).digest().readUInt32BE(0) / 2 ** 32;
}

/**
 * When a machine starts that is due at a slot: so many whole seconds after it, within the calendar's stagger, and before the
 * window closes. The same key always has the same place, so that a machine's points keep their distance.
 *
 * @param key of policy and machine
 */
export function staggeredStart(calendar: Calendar, slot: Date, key: string): Date {
  const { staggerMinutes, window } = calendar;
  if (staggerMinutes === 0) return slot;
  const room =
    window === null
      ? staggerMinutes
      : minutesUntilClosed(window, wallClock(zoneOf(calendar)).at(slot), staggerMinutes);
  return new Date(slot.getTime() + Math.floor(placeOf(key) * room * 60) * 1000);
}
