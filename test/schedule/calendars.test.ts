import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Calendar, calendarSchema, flagLetters, slaTemplateSchema } from '../../lib/model/index.ts';
import {
  checkCalendar,
  dueCalendarSlots,
  inRegion,
  meanCompliance,
  nextCalendarSlots,
  owedSlot,
  regionTimeZone,
  slaCalendar,
  slaCompliance,
  slotsBetween,
  staggeredStart,
} from '../../lib/schedule/index.ts';

const at = (iso: string) => new Date(iso);
const make = (calendar: object): Calendar => calendarSchema.parse(calendar);

/** `2026-03-02T07:00 DW backup`, UTC. */
const next = (calendar: Calendar, from: string, count: number): string[] =>
  nextCalendarSlots(calendar, at(from), count).map(
    (slot) => `${slot.at.toISOString().slice(0, 16)} ${flagLetters(slot.flags)} ${slot.makes}`,
  );
const times = (calendar: Calendar, from: string, count: number): string[] =>
  nextCalendarSlots(calendar, at(from), count).map((slot) => slot.at.toISOString().slice(0, 16));

describe('a calendar of several schedules', () => {
  it('makes one slot where schedules meet, with the flags of all; a snapshot flag is no backup flag', () => {
    const calendar = make({
      schedules: [
        { every: 'hour', hours: [7, 9, 11], days: 'weekdays', makes: 'snapshot' },
        { every: 'day', at: ['07:00'], days: 'weekdays' },
        { every: 'week', days: ['monday'], at: ['07:00'], makes: 'snapshot' },
        { every: 'month', on: { nth: 'first', weekday: 'monday' }, at: ['07:00'] },
      ],
    });
    expect(next(calendar, '2026-03-01T00:00:00Z', 4)).toEqual([
      '2026-03-02T07:00 DWM backup',
      '2026-03-02T09:00 D snapshot',
      '2026-03-02T11:00 D snapshot',
      '2026-03-03T07:00 D backup',
    ]);
    expect(nextCalendarSlots(calendar, at('2026-03-01T00:00:00Z'), 1)).toEqual([
      {
        at: at('2026-03-02T07:00:00Z'),
        makes: 'backup',
        flags: ['daily', 'weekly', 'monthly'],
        backupFlags: ['daily', 'monthly'],
        schedules: [0, 1, 2, 3],
      },
    ]);
  });

  it('has several slots in an hour of its grid', () => {
    const calendar = make({
      schedules: [{ every: 'hour', hours: [7, 9], minutes: [0, 20], makes: 'snapshot' }],
    });
    expect(times(calendar, '2026-03-01T00:00:00Z', 5).map((time) => time.slice(8))).toEqual([
      '01T07:00',
      '01T07:20',
      '01T09:00',
      '01T09:20',
      '02T07:00',
    ]);
  });

  it.each([
    [{ day: 31 }, ['2026-01-31', '2026-02-28', '2026-03-31', '2026-04-30']],
    [{ day: 31, ifMissing: 'skip' }, ['2026-01-31', '2026-03-31', '2026-05-31', '2026-07-31']],
    [{ day: 29, ifMissing: 'skip' }, ['2026-01-29', '2026-03-29', '2026-04-29', '2026-05-29']],
    ['lastDay', ['2026-01-31', '2026-02-28', '2026-03-31', '2026-04-30']],
    ['lastWeekday', ['2026-01-30', '2026-02-27', '2026-03-31', '2026-04-30']],
    [{ nth: 'last', weekday: 'friday' }, ['2026-01-30', '2026-02-27', '2026-03-27', '2026-04-24']],
    [{ nth: 'second', weekday: 'sunday' }, ['2026-01-11', '2026-02-08', '2026-03-08', '2026-04-12']],
  ])('is due in a month on %j', (on, dates) => {
    const calendar = make({ schedules: [{ every: 'month', at: ['23:30'], on }] });
    expect(times(calendar, '2026-01-01T00:00:00Z', 4)).toEqual(dates.map((date) => `${date}T23:30`));
  });

  it('is due on 29 February each year, or only when there is one', () => {
    const leap = (ifMissing: string) =>
      make({ schedules: [{ every: 'year', at: ['12:00'], month: 2, on: { day: 29, ifMissing } }] });
    expect(times(leap('lastDay'), '2027-01-01T00:00:00Z', 3)).toEqual([
      '2027-02-28T12:00',
      '2028-02-29T12:00',
      '2029-02-28T12:00',
    ]);
    expect(times(leap('skip'), '2097-01-01T00:00:00Z', 2)).toEqual(['2104-02-29T12:00', '2108-02-29T12:00']);
  });
});

describe('a changed clock', () => {
  const quarter = { every: 'cron', cron: '*/15 2 * * *' };

  it.each([
    ['Europe/Berlin', '2026-03-29T00:00:00Z', ['2026-03-29T01:00', '2026-03-30T00:00']],
    ['Australia/Lord_Howe', '2026-10-03T14:00:00Z', ['2026-10-03T15:30', '2026-10-03T15:45']],
  ])('skips: in %s the skipped slots make one, at the next valid minute', (timeZone, from, expected) => {
    const calendar = make({ timeZone, schedules: [quarter] });
    expect(times(calendar, from, 2)).toEqual(expected);
    expect(times(make({ timeZone, schedules: [{ every: 'day', at: ['02:10'] }] }), from, 1)).toEqual(
      expected.slice(0, 1),
    );
  });

  it.each([
    ['Europe/Berlin', 2, '2026-10-25T00:10:00Z', ['25T00:15', '25T00:30', '25T00:45', '26T01:00']],
    // Half an hour comes twice: 1:30 to 2:00, first from 14:30 UTC.
    ['Australia/Lord_Howe', 1, '2026-04-04T14:10:00Z', ['04T14:15', '04T14:30', '04T14:45', '05T14:30']],
  ])('doubles: in %s each time comes once, at its first coming', (timeZone, hour, from, expected) => {
    const calendar = make({ timeZone, schedules: [{ every: 'cron', cron: `*/15 ${hour} * * *` }] });
    expect(times(calendar, from, 4).map((time) => time.slice(8))).toEqual(expected);
  });

  it('leaves out a whole day at the date line, whose slots run when the next day begins', () => {
    const calendar = make({ timeZone: 'Pacific/Apia', schedules: [{ every: 'day', at: ['08:00'] }] });
    expect(times(calendar, '2011-12-29T12:00:00Z', 3)).toEqual([
      '2011-12-29T18:00',
      '2011-12-30T10:00',
      '2011-12-30T18:00',
    ]);
  });
});

describe('a window', () => {
  const between = (start: string, end: string, more: object = {}) =>
    make({ schedules: [{ every: 'interval', minutes: 60 }], window: [{ start, end, ...more }] });

  it.each([
    ['10:00', '13:00', 3],
    ['10:00', '13:05', 4],
  ])('from %s to %s has %s hourly slots: its end is exclusive', (start, end, count) => {
    const day = slotsBetween(between(start, end), at('2026-03-01T23:59:00Z'), at('2026-03-02T23:59:00Z'));
    expect(day.map((slot) => slot.at.getUTCHours())).toEqual([10, 11, 12, 13].slice(0, count));
  });

  it('has no slot at the minute in which it closes, and none outside', () => {
    const calendar = make({
      schedules: [{ every: 'day', at: ['09:59', '10:00', '12:59', '13:00'] }],
      window: [{ start: '10:00', end: '13:00' }],
    });
    expect(times(calendar, '2026-03-01T13:00:00Z', 3)).toEqual([
      '2026-03-02T10:00',
      '2026-03-02T12:59',
      '2026-03-03T10:00',
    ]);
  });

  it('over midnight belongs to the day on which it opens', () => {
    // 6 March 2026 is a Friday.
    const friday = between('22:30', '01:00', { days: ['friday'] });
    expect(times(friday, '2026-03-01T00:00:00Z', 4)).toEqual([
      '2026-03-06T22:30',
      '2026-03-06T23:30',
      '2026-03-07T00:30',
      '2026-03-13T22:30',
    ]);
  });

  it('in the time of the region is elsewhere for machines elsewhere', () => {
    const calendar = make({
      timeZone: 'region',
      schedules: [{ every: 'day', at: ['01:00', '12:00'] }],
      window: [{ start: '00:00', end: '06:00' }],
    });
    const first = (region: string) => times(inRegion(calendar, region), '2026-03-01T00:00:00Z', 1)[0];
    expect([first('westeurope'), first('Southeast Asia'), first('brazilsouth')]).toEqual([
      '2026-03-02T00:00',
      '2026-03-01T17:00',
      '2026-03-01T04:00',
    ]);
    expect(() => inRegion(calendar, 'atlantis')).toThrowError(/region atlantis is not known/);
    expect(() => nextCalendarSlots(calendar, at('2026-03-01T00:00:00Z'), 1)).toThrowError(/region/);
    expect(regionTimeZone('West US 3')).toBe('America/Phoenix');
  });

  it('that has closed makes late slots wait for its next opening, with all they owe', () => {
    const calendar = make({
      schedules: [
        { every: 'day', at: ['23:00'] },
        { every: 'week', days: ['monday'], at: ['23:00'] },
      ],
      window: [{ start: '22:00', end: '06:00' }],
    });
    const since = at('2026-03-01T23:00:00Z');
    expect(dueCalendarSlots(calendar, since, at('2026-03-03T09:00:00Z'))).toMatchObject({
      due: null,
      missed: [],
      waiting: 1,
    });
    const opened = dueCalendarSlots(calendar, since, at('2026-03-03T22:00:00Z'));
    expect(opened.due).toMatchObject({ at: at('2026-03-02T23:00:00Z'), flags: ['daily', 'weekly'] });
    expect(opened.late).toBe(true);
    const later = dueCalendarSlots(calendar, since, at('2026-03-03T23:00:30Z'));
    expect(later.due).toMatchObject({ at: at('2026-03-03T23:00:00Z'), flags: ['daily', 'weekly'] });
    expect(later.missed).toHaveLength(1);
  });
});

describe('missed slots', () => {
  const grid = make({ schedules: [{ every: 'interval', minutes: 5 }] });

  it('beyond a thousand are counted, not listed', () => {
    const { missed, unlisted, due } = dueCalendarSlots(
      grid,
      at('2026-03-01T00:00:00Z'),
      at('2026-03-11T00:00:00Z'),
    );
    expect([missed.length, unlisted, due?.at]).toEqual([1000, 10 * 288 - 1001, at('2026-03-11T00:00:00Z')]);
  });

  it('owe a machine their flags until a run succeeds', () => {
    const calendar = make({
      schedules: [
        { every: 'day', at: ['01:00'] },
        { every: 'month', at: ['01:00'], on: { day: 1 } },
      ],
    });
    const owed = (since: string) => owedSlot(calendar, at(since), at('2026-03-03T01:00:00Z'))?.backupFlags;
    expect(owed('2026-03-02T01:00:00Z')).toEqual(['daily']);
    expect(owed('2026-02-28T01:00:00Z')).toEqual(['daily', 'monthly']);
    expect(owed('2026-03-03T01:00:00Z')).toBeUndefined();
  });
});

describe('a calendar that can never be kept', () => {
  it.each([
    [{ schedules: [{ every: 'cron', cron: '99 * * * *' }] }, 'calendar.schedules[0].cron'],
    [
      { schedules: [{ every: 'month', at: ['01:00'], months: [2], on: { day: 30, ifMissing: 'skip' } }] },
      'calendar.schedules[0]',
    ],
    [
      {
        timeZone: 'region',
        schedules: [
          { every: 'day', at: ['23:00'] },
          { every: 'day', at: ['12:00'] },
        ],
        window: [{ start: '22:00', end: '06:00' }],
      },
      'calendar.schedules[1]',
    ],
  ])('is refused, with the field', (calendar, target) => {
    expect(() => checkCalendar(make(calendar))).toThrowError(
      expect.objectContaining({ code: 'invalidInput', target }),
    );
  });

  it('is refused by its schema when a zone, a time or a field is not right', () => {
    const day = { every: 'day', at: ['07:00'] };
    for (const wrong of [
      { schedules: [] },
      { schedules: [day], timeZone: 'Mars/Olympus' },
      { schedules: [{ ...day, at: ['24:00'] }] },
      { schedules: [{ ...day, hours: [1] }] },
      { schedules: [{ every: 'interval', minutes: 7 }] },
    ]) {
      expect(calendarSchema.safeParse(wrong).success).toBe(false);
    }
  });
});

describe('a staggered start', () => {
  it('is always the same for one machine, spread evenly, within the stagger and the window', () => {
    const slot = at('2026-03-01T22:00:00Z');
    const open = make({ schedules: [{ every: 'day', at: ['22:00'] }], staggerMinutes: 120 });
    const closing = { ...open, window: [{ days: 'every' as const, start: '21:00', end: '22:30' }] };
    const delays = (calendar: Calendar) =>
      Array.from(
        { length: 400 },
        (_, n) => (staggeredStart(calendar, slot, `p/machine-${n}`).getTime() - slot.getTime()) / 60_000,
      );
    for (const [calendar, width] of [
      [open, 120],
      [closing, 30],
    ] as const) {
      expect(delays(calendar)).toEqual(delays(calendar));
      const quarters = [0, 0, 0, 0];
      for (const delay of delays(calendar)) {
        expect(delay >= 0 && delay < width).toBe(true);
        const quarter = Math.floor((4 * delay) / width);
        quarters[quarter] = (quarters[quarter] ?? 0) + 1;
      }
      expect(Math.min(...quarters)).toBeGreaterThan(60);
    }
    expect(staggeredStart({ ...open, staggerMinutes: 0 }, slot, 'x')).toEqual(slot);
  });
});

describe('an SLA', () => {
  const template = slaTemplateSchema.parse({
    timeZone: 'UTC',
    rpoMinutes: 60,
    window: [{ start: '10:00', end: '18:00' }],
  });
  const day = [at('2026-03-02T00:00:00Z'), at('2026-03-03T00:00:00Z')] as const;
  const after = at('2026-03-03T12:00:00Z');
  const hours = (...list: number[]) =>
    list.map((hour) => at(`2026-03-02T${String(hour).padStart(2, '0')}:03:00Z`));
  const check = (addedAt: string, takenAt: Date[], now = after) =>
    slaCompliance(template, { addedAt: at(addedAt), takenAt }, ...day, now);

  it('is a calendar: the interval, rarer schedules that flag points for longer, its window and its stagger', () => {
    const sla = slaTemplateSchema.parse({
      timeZone: 'UTC',
      rpoMinutes: 240,
      window: [{ start: '10:00', end: '18:00' }],
      makes: 'snapshot',
      schedules: [
        { every: 'week', days: ['monday'], at: ['10:00'] },
        { every: 'month', at: ['14:00'], on: { day: 2 } },
      ],
      staggerMinutes: 20,
    });
    const calendar = slaCalendar(sla);
    expect([sla.thresholdPercent, calendar.staggerMinutes]).toEqual([97, 20]);
    expect(next(calendar, '2026-03-01T18:00:00Z', 4)).toEqual([
      '2026-03-02T10:00 DW backup',
      '2026-03-02T14:00 DM backup',
      '2026-03-03T10:00 D snapshot',
      '2026-03-03T14:00 D snapshot',
    ]);
    expect(nextCalendarSlots(calendar, at('2026-03-01T18:00:00Z'), 1)[0]?.backupFlags).toEqual(['weekly']);
  });

  it('expects a point in every interval of the window', () => {
    expect(slotsBetween(slaCalendar(template), ...day)).toHaveLength(8);
    expect(check('2026-01-01T00:00:00Z', hours(10, 11, 12, 13, 15, 16, 17))).toEqual({
      expected: 8,
      met: 7,
      assumed: 0,
      percent: 87.5,
      misses: [at('2026-03-02T14:00:00Z')],
    });
  });

  it('counts what was expected before a machine came as met: 5 of 5 is 100 %, 3 of 5 is 75 %', () => {
    const added = '2026-03-02T12:30:00Z';
    expect(check(added, hours(13, 14, 15, 16, 17))).toMatchObject({ expected: 8, assumed: 3, percent: 100 });
    expect(check(added, hours(13, 14, 16))).toMatchObject({ expected: 8, assumed: 3, percent: 75 });
  });

  it('does not count one point for two slots, nor a slot whose time is not over', () => {
    const twice = [at('2026-03-02T10:03:00Z'), at('2026-03-02T10:50:00Z')];
    expect(check('2026-01-01T00:00:00Z', twice, at('2026-03-02T12:30:00Z'))).toMatchObject({
      expected: 2,
      met: 1,
      misses: [at('2026-03-02T11:00:00Z')],
    });
  });

  it('is met by a policy whose machines reach the threshold on average', () => {
    expect(meanCompliance(template, [{ percent: 100 }, { percent: 94 }])).toEqual({ percent: 97, met: true });
    expect(meanCompliance(template, [{ percent: 100 }, { percent: 93 }])).toEqual({
      percent: 96.5,
      met: false,
    });
    expect(meanCompliance(template, [])).toEqual({ percent: 100, met: true });
  });

  it('is kept by a machine that makes a point at each of its slots, in any zone', () => {
    fc.assert(
      fc.property(
        fc.constantFrom('UTC', 'Europe/Berlin', 'Australia/Lord_Howe'),
        fc.constantFrom(15 as const, 60 as const, 240 as const),
        fc.integer({ min: 0, max: 300 }),
        (timeZone, rpoMinutes, start) => {
          const from = new Date(Date.UTC(2026, 0, 1) + start * 86_400_000);
          const until = new Date(from.getTime() + 3 * 86_400_000);
          const sla = { ...template, timeZone, rpoMinutes };
          const takenAt = slotsBetween(slaCalendar(sla), new Date(from.getTime() - 1), until).map(
            (slot) => new Date(slot.at.getTime() + 30_000),
          );
          const machine = { addedAt: new Date(0), takenAt };
          const all = slaCompliance(sla, machine, from, until, new Date(until.getTime() + 86_400_000));
          expect([all.met, all.percent, all.misses]).toEqual([all.expected, 100, []]);
          const worse = { ...machine, takenAt: takenAt.slice(1) };
          expect(slaCompliance(sla, worse, from, until, until).misses).toHaveLength(1);
        },
      ),
      { numRuns: 100 },
    );
  });
});
