import { describe, expect, it } from 'vitest';
import { describeDecision, planRetention, type RetentionPoint } from '../../lib/chain/index.ts';
import {
  type Calendar,
  calendarSchema,
  flagLetters,
  type RetentionRules,
  retentionRulesSchema,
} from '../../lib/model/index.ts';
import { slotsBetween } from '../../lib/schedule/index.ts';

/** Makes a point at each backup slot and lets retention run after each, as the service does. */
class Chain {
  points: RetentionPoint[] = [];
  readonly log: string[] = [];
  private made = 0;
  private now: Date;
  private readonly calendar: Calendar;
  private readonly rules: RetentionRules;

  constructor(calendar: Calendar, rules: RetentionRules, from: string) {
    this.calendar = calendar;
    this.rules = rules;
    this.now = new Date(new Date(from).getTime() - 1);
  }

  /** Up to and with the slots of that moment. */
  runTo(moment: string): string[] {
    const until = new Date(moment);
    for (const { at, backupFlags } of slotsBetween(this.calendar, this.now, until)) {
      this.made++;
      this.points.push({
        sequence: this.made,
        takenAt: at.toISOString(),
        retention: { flags: [...backupFlags], rules: this.rules, hold: null, expiresAt: null },
        damaged: false,
      });
      this.retain(at);
    }
    this.retain(until);
    this.now = until;
    return this.points.map(
      ({ takenAt, retention }) => `${takenAt.slice(5, 16)} ${flagLetters(retention.flags)}`,
    );
  }

  private retain(at: Date): void {
    const plan = planRetention(this.points, this.rules, at);
    for (const decision of plan.filter(({ keep }) => !keep)) {
      this.log.push(`${decision.item.takenAt.slice(5, 16)} ${describeDecision(decision)}`);
    }
    this.points = plan
      .filter(({ keep }) => keep)
      .map(({ item, flags }) => ({ ...item, retention: { ...item.retention, flags: [...flags] } }))
      .reverse();
  }
}

describe('daily at 7, 9 and 11 on weekdays, keep 3, and weekly on Monday at 7, keep 2', () => {
  const calendar = calendarSchema.parse({
    schedules: [
      { every: 'hour', hours: [7, 9, 11], days: 'weekdays' },
      { every: 'week', days: ['monday'], at: ['07:00'] },
    ],
  });
  const rules = retentionRulesSchema.parse({ keep: { daily: { points: 3 }, weekly: { points: 2 } } });
  // 2 March 2026 is a Monday.
  const chain = new Chain(calendar, rules, '2026-03-02T00:00:00Z');

  it('gives the point of Monday 7:00 both flags', () => {
    expect(chain.runTo('2026-03-02T11:00:00Z')).toEqual(['03-02T07:00 DW', '03-02T09:00 D', '03-02T11:00 D']);
  });

  it('takes D off the first point on Tuesday at 7:00; W keeps it', () => {
    expect(chain.runTo('2026-03-03T07:00:00Z')).toEqual([
      '03-02T07:00 W',
      '03-02T09:00 D',
      '03-02T11:00 D',
      '03-03T07:00 D',
    ]);
  });

  it('removes the point of Monday 9:00 on Tuesday at 9:00', () => {
    expect(chain.runTo('2026-03-03T09:00:00Z')).toEqual([
      '03-02T07:00 W',
      '03-02T11:00 D',
      '03-03T07:00 D',
      '03-03T09:00 D',
    ]);
    expect(chain.log).toEqual(['03-02T09:00 goes: daily ended: older than the newest 3']);
  });

  it('takes W off the first point in the third week, and removes it', () => {
    expect(chain.runTo('2026-03-16T06:59:00Z')).toEqual([
      '03-02T07:00 W',
      '03-09T07:00 W',
      '03-13T07:00 D',
      '03-13T09:00 D',
      '03-13T11:00 D',
    ]);
    expect(chain.runTo('2026-03-16T07:00:00Z')).toEqual([
      '03-09T07:00 W',
      '03-13T09:00 D',
      '03-13T11:00 D',
      '03-16T07:00 DW',
    ]);
    expect(chain.log).toContain('03-02T07:00 goes: weekly ended: older than the newest 2');
  });
});

describe('weekly on Monday at 7:00 for 21 days, and an archive of every other first Monday for 12 months', () => {
  const monday = { nth: 'first', weekday: 'monday' } as const;
  const weekly = { every: 'week', days: ['monday'], at: ['07:00'] };
  const archive = {
    every: 'month',
    at: ['07:00'],
    on: monday,
    months: [1, 3, 5, 7, 9, 11],
    flags: ['monthly'],
  };
  const standard = new Chain(
    calendarSchema.parse({ schedules: [weekly, archive] }),
    retentionRulesSchema.parse({ keep: { weekly: { days: 21 } } }),
    '2026-02-01T00:00:00Z',
  );
  const archived = new Chain(
    calendarSchema.parse({ schedules: [archive] }),
    retentionRulesSchema.parse({ keep: { monthly: { months: 12 } } }),
    '2026-02-01T00:00:00Z',
  );

  it('has three points after three Mondays; on the fourth the first is over age and goes alone', () => {
    expect(standard.runTo('2026-02-16T07:00:00Z')).toEqual([
      '02-02T07:00 W',
      '02-09T07:00 W',
      '02-16T07:00 W',
    ]);
    expect(standard.runTo('2026-02-23T07:00:00Z')).toEqual([
      '02-09T07:00 W',
      '02-16T07:00 W',
      '02-23T07:00 W',
    ]);
    expect(standard.log).toEqual(['02-02T07:00 goes: weekly ended 2026-02-23']);
  });

  it('flags the first Monday of March for the archive, which has its own chain and its own rules', () => {
    expect(standard.runTo('2026-03-02T07:00:00Z').at(-1)).toBe('03-02T07:00 WM');
    expect(archived.runTo('2026-03-02T07:00:00Z')).toEqual(['03-02T07:00 M']);
    expect(archived.runTo('2026-05-04T07:00:00Z')).toEqual(['03-02T07:00 M', '05-04T07:00 M']);
  });

  it('does not keep a point in the standard chain for a flag that only the archive has a rule for', () => {
    standard.runTo('2026-03-23T07:00:00Z');
    expect(standard.log).toContain('03-02T07:00 goes: weekly ended 2026-03-23');
  });

  it('removes the March archive when its twelve months are over, by the calendar', () => {
    // The first Monday of March 2027 is the 1st: a day early.
    expect(archived.runTo('2027-03-02T06:59:59Z')).toHaveLength(7);
    expect(archived.runTo('2027-03-02T07:00:00Z')[0]).toBe('05-04T07:00 M');
  });
});

describe('a monthly backup on a day on which nothing else runs', () => {
  it('is kept for its month rule where there is one, else for a day', () => {
    // 1 March 2026 is a Sunday.
    const calendar = calendarSchema.parse({
      schedules: [
        { every: 'day', at: ['07:00'], days: 'weekdays' },
        { every: 'month', at: ['07:00'], on: { day: 1 } },
      ],
    });
    const from = '2026-02-27T00:00:00Z';
    // Not as the last one either.
    const rules = retentionRulesSchema.parse({ keep: { daily: { days: 3 } }, keepLast: false });
    const extra = new Chain(calendar, rules, from);
    expect(extra.runTo('2026-03-02T06:59:00Z')).toContain('03-01T07:00 M');
    expect(extra.runTo('2026-03-02T07:00:00Z')).toEqual(['03-02T07:00 D']);
    const kept = { keep: { daily: { days: 3 }, monthly: { months: 2 } } };
    const own = new Chain(calendar, retentionRulesSchema.parse(kept), from);
    expect(own.runTo('2026-03-25T07:00:00Z')[0]).toBe('03-01T07:00 M');
  });
});
