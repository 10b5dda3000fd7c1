import type { Machine, Policy, Session } from '../../model/index.ts';
import { staggeredStart } from '../../schedule/index.ts';
import type { PolicyRunState } from '../state.ts';
import { calendarOf, placed } from './calendars.ts';

/**
 * When a machine starts in a run: for a slot at its own place within the policy's stagger, always the same, so that its points
 * keep their distance. A run on request starts all at once; one that is late counts from its own start.
 */
export function startOf(
  policy: Policy,
  { startedAt }: Pick<Session, 'startedAt'>,
  { slot, late, region }: PolicyRunState['request'],
  { id, location }: Pick<Machine, 'id' | 'location'>,
): Date {
  const calendar = calendarOf(policy);
  if (slot === null || calendar === null || calendar.staggerMinutes === 0) return new Date(startedAt);
  const from = new Date(late ? startedAt : slot);
  return staggeredStart(placed(calendar, region ?? location), from, `${policy.id}/${id}`);
}
