import { describe, expect, it } from 'vitest';
import { dueSlots, nextSlots, parseSchedule } from '../../lib/schedule/index.ts';

const at = (iso: string) => new Date(iso);
const iso = (dates: readonly Date[]) => dates.map((date) => date.toISOString());

describe('due slots', () => {
  const hourly = { cron: '0 * * * *', timeZone: 'UTC' };

  it('has none before the first', () => {
    expect(dueSlots(hourly, at('2026-03-01T10:00:00Z'), at('2026-03-01T10:59:59Z'))).toEqual({
      due: null,
      missed: [],
      late: false,
    });
  });

  it('runs the newest after downtime, late, and records the older ones as missed', () => {
    const { due, missed, late } = dueSlots(hourly, at('2026-03-01T10:00:00Z'), at('2026-03-01T13:30:00Z'));
    expect(due).toEqual(at('2026-03-01T13:00:00Z'));
    expect(iso(missed)).toEqual(['2026-03-01T11:00:00.000Z', '2026-03-01T12:00:00.000Z']);
    expect(late).toBe(true);
  });

  it('gives each slot once over successive ticks, however the ticks fall', () => {
    const seen: string[] = [];
    let since = at('2026-03-01T00:00:30Z');
    for (let minute = 1; minute <= 300; minute += 1 + (minute % 7)) {
      const now = new Date(at('2026-03-01T00:00:30Z').getTime() + minute * 60_000);
      const { due, missed } = dueSlots(hourly, since, now);
      seen.push(...iso([...missed, ...(due ? [due] : [])]));
      since = due ?? since;
    }
    expect(seen).toEqual([1, 2, 3, 4, 5].slice(0, seen.length).map((h) => `2026-03-01T0${h}:00:00.000Z`));
    expect(seen.length).toBeGreaterThanOrEqual(4);
  });

  it('runs a local hour that does not exist at the next valid minute, and one that comes twice once', () => {
    const berlin = { cron: '30 2 * * *', timeZone: 'Europe/Berlin' };
    expect(iso(nextSlots(berlin, at('2026-03-28T12:00:00Z'), 2))).toEqual([
      '2026-03-29T01:00:00.000Z',
      '2026-03-30T00:30:00.000Z',
    ]);
    expect(iso(nextSlots(berlin, at('2026-10-24T12:00:00Z'), 2))).toEqual([
      '2026-10-25T00:30:00.000Z',
      '2026-10-26T01:30:00.000Z',
    ]);
  });

  it.each([
    ['* * * *', 'UTC', 'schedule.cron'],
    ['99 * * * *', 'UTC', 'schedule.cron'],
    ['0 * * * *', 'Mars/Olympus', 'schedule.timeZone'],
  ])('refuses "%s" in %s and names the field', (cron, timeZone, target) => {
    expect(() => parseSchedule({ cron, timeZone })).toThrowError(
      expect.objectContaining({ code: 'invalidInput', target }),
    );
  });
});
