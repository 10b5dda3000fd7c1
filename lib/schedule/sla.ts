import type { Calendar, SlaTemplate } from '../model/index.ts';
import { nextCalendarSlots, slotsBetween } from './slots.ts';

/** The calendar that keeps a template's promise. Its slots are also what compliance expects. */
export const slaCalendar = (template: SlaTemplate): Calendar => ({
  timeZone: template.timeZone,
  schedules: [
    { every: 'interval', minutes: template.rpoMinutes, makes: template.makes, flags: ['daily'] },
    ...template.schedules,
  ],
  window: template.window,
  staggerMinutes: template.staggerMinutes,
});

/** A machine under a template. Times ISO 8601 or dates. */
export interface SlaMachine {
  /** When it came under the template. What was expected before, in the period, counts as met. */
  readonly addedAt: Date;
  /** When its good restore points (or snapshots, if that is what the template makes) were taken, in any order. */
  readonly takenAt: readonly Date[];
}

export interface Compliance {
  /** Points that the period asked for and whose time is over. */
  readonly expected: number;
  readonly met: number;
  /** Of those met: from before the machine came. */
  readonly assumed: number;
  /** 100 when nothing was expected. */
  readonly percent: number;
  /** Slots without a point, oldest first. */
  readonly misses: readonly Date[];
}

/**
 * How well one machine met its template in `[from, until)`. A slot is met by a point taken from its time on, before the next
 * slot and within the RPO. A slot whose time is not over counts only once it is met.
 */
export function slaCompliance(
  template: SlaTemplate,
  machine: SlaMachine,
  from: Date,
  until: Date,
  now: Date,
): Compliance {
  const calendar = slaCalendar({ ...template, schedules: [] });
  const justBefore = (at: Date) => new Date(at.getTime() - 1);
  const slots = slotsBetween(calendar, justBefore(from), justBefore(until)).map(({ at }) => at.getTime());
  const last = slots.at(-1);
  const after = last === undefined ? undefined : nextCalendarSlots(calendar, new Date(last), 1)[0];
  const taken = machine.takenAt.map((at) => at.getTime()).sort((a, b) => a - b);
  const rpo = template.rpoMinutes * 60_000;
  let expected = 0;
  let met = 0;
  let assumed = 0;
  let seen = 0;
  const misses: Date[] = [];
  for (const [index, slot] of slots.entries()) {
    const end = Math.min(slot + rpo, slots[index + 1] ?? after?.at.getTime() ?? Number.POSITIVE_INFINITY);
    while ((taken[seen] ?? Number.POSITIVE_INFINITY) < slot) seen++;
    const good = (taken[seen] ?? Number.POSITIVE_INFINITY) < end;
    const before = slot < machine.addedAt.getTime();
    if (!good && !before && end > now.getTime()) continue;
    if (slot > now.getTime()) continue;
    expected++;
    if (good || before) met++;
    else misses.push(new Date(slot));
    if (before && !good) assumed++;
  }
  return { expected, met, assumed, percent: expected === 0 ? 100 : (100 * met) / expected, misses };
}

/** A policy's compliance: the mean over the machines that it still has. No machines: nothing was broken. */
export function meanCompliance(
  template: Pick<SlaTemplate, 'thresholdPercent'>,
  machines: readonly Pick<Compliance, 'percent'>[],
): { readonly percent: number; readonly met: boolean } {
  const sum = machines.reduce((total, { percent }) => total + percent, 0);
  const percent = machines.length === 0 ? 100 : sum / machines.length;
  return { percent, met: percent >= template.thresholdPercent };
}
