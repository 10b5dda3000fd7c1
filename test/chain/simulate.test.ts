import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type RetentionPoint,
  simulateRetention,
  simulationRows,
  simulationTable,
} from '../../lib/chain/index.ts';
import { calendarSchema, FLAGS, retentionRulesSchema, snapshotRulesSchema } from '../../lib/model/index.ts';
import { calendarIn } from '../schedule/arbitraries.ts';
import { modelSlots, type WallTable, wallTable } from '../schedule/wallModel.ts';
import { rules } from './arbitraries.ts';
import { modelRetention } from './retentionModel.ts';

const DAY = 86_400_000;
const MINUTE = 60_000;
const at = (iso: string) => new Date(iso);

describe('the simulation of retention', () => {
  const calendar = calendarSchema.parse({
    timeZone: 'Europe/Berlin',
    schedules: [
      { every: 'day', at: ['07:00', '12:00'], makes: 'snapshot' },
      { every: 'day', at: ['22:00'] },
      { every: 'week', days: ['sunday'], at: ['22:00'] },
    ],
  });
  const retention = {
    backups: retentionRulesSchema.parse({
      keep: { daily: { days: 2 }, weekly: { weeks: 3 } },
      timeZone: 'Europe/Berlin',
    }),
    snapshots: snapshotRulesSchema.parse({ keep: { daily: { points: 2 } } }),
  };

  it('prints what exists, what went and why', () => {
    const days = simulateRetention(
      calendar,
      retention,
      at('2026-03-27T23:00:00Z'),
      at('2026-03-30T22:00:00Z'),
    );
    // The clock goes forward on Sunday the 29th.
    expect(simulationTable(simulationRows(days, 'Europe/Berlin'))).toBe(
      `
DAY            WHAT           TAKEN             FLAGS  WHY
2026-03-28  -  snapshot       2026-03-28 07:00  D      goes: daily ended: older than the newest 2
2026-03-28  +  restore point  2026-03-28 22:00  D      kept: daily until 2026-03-30, the newest
2026-03-28  +  snapshot       2026-03-28 22:00  D      kept: base of the next incremental, the newest, daily, number 1 of the newest 2
2026-03-28  +  snapshot       2026-03-28 12:00  D      kept: daily, number 2 of the newest 2
2026-03-29  -  snapshot       2026-03-29 07:00  D      goes: daily ended: older than the newest 2
2026-03-29  -  snapshot       2026-03-28 22:00  D      goes: daily ended: older than the newest 2
2026-03-29  -  snapshot       2026-03-28 12:00  D      goes: daily ended: older than the newest 2
2026-03-29  +  restore point  2026-03-29 22:00  DW     kept: daily until 2026-03-31, weekly until 2026-04-19, the newest
2026-03-29  +  snapshot       2026-03-29 22:00  DW     kept: base of the next incremental, the newest, daily, number 1 of the newest 2
2026-03-29  +  snapshot       2026-03-29 12:00  D      kept: daily, number 2 of the newest 2
2026-03-30  -  restore point  2026-03-28 22:00  D      goes: daily ended 2026-03-30
2026-03-30  -  snapshot       2026-03-30 07:00  D      goes: daily ended: older than the newest 2
2026-03-30  -  snapshot       2026-03-29 22:00  DW     goes: daily ended: older than the newest 2
2026-03-30  -  snapshot       2026-03-29 12:00  D      goes: daily ended: older than the newest 2
2026-03-30  +  restore point  2026-03-30 22:00  D      kept: daily until 2026-04-01, the newest
2026-03-30     restore point  2026-03-29 22:00  DW     kept: daily until 2026-03-31, weekly until 2026-04-19
2026-03-30  +  snapshot       2026-03-30 22:00  D      kept: base of the next incremental, the newest, daily, number 1 of the newest 2
2026-03-30  +  snapshot       2026-03-30 12:00  D      kept: daily, number 2 of the newest 2
`.trim(),
    );
  });

  it('shows the points of a real machine go by their own rules once its policy is gone', () => {
    const existing: RetentionPoint[] = [1, 2].map((sequence) => ({
      sequence,
      takenAt: `2026-03-0${sequence}T07:00:00Z`,
      damaged: false,
      retention: {
        flags: ['daily'],
        rules: retentionRulesSchema.parse({ keep: { daily: { days: 3 } }, keepLast: false }),
        hold: null,
        expiresAt: null,
      },
    }));
    const from = at('2026-03-02T12:00:00Z');
    const days = [
      ...simulateRetention({ ...calendar, timeZone: 'UTC' }, retention, from, at('2026-03-07T00:00:00Z'), {
        existing,
        policyEndsAt: from,
      }),
    ];
    expect(days.map(({ date, made, stays }) => [date, made.length, stays.length])).toEqual([
      ['2026-03-02', 0, 2],
      ['2026-03-03', 0, 2],
      ['2026-03-04', 0, 1],
      ['2026-03-05', 0, 0],
      ['2026-03-06', 0, 0],
    ]);
  });

  const tables: WallTable[] = [
    wallTable('UTC', '2028-02-20T00:00:00Z', 16),
    wallTable('Europe/Berlin', '2026-03-21T00:00:00Z', 16),
    wallTable('America/New_York', '2026-10-25T00:00:00Z', 16),
  ];

  it('of random calendars and rules has each day what a minute-by-minute, rule-by-rule model has', () => {
    let stayed = 0;
    let gone = 0;
    fc.assert(
      fc.property(
        fc.nat(tables.length - 1).chain((place) =>
          fc.record({
            place: fc.constant(place),
            calendar: calendarIn(tables[place]?.zone ?? 'UTC'),
            // Rules count in UTC: the model finds no instant for a time that a changed clock skips.
            backups: rules.map((all) => ({ ...all, timeZone: 'UTC' })),
          }),
        ),
        ({ place, calendar, backups }) => {
          const table = tables[place];
          if (!table) throw new Error('no table');
          const first = table.shown.findIndex(({ text }, index) => index > 2 * 1440 && text === '00:00');
          const from = table.start + first * MINUTE;
          const to = from + 11 * DAY;
          let model: RetentionPoint[] = [];
          let made = 0;
          let index = first;
          for (const day of simulateRetention(
            calendar,
            { backups, snapshots: null },
            new Date(from),
            new Date(to),
          )) {
            const begin = index;
            const date = table.shown[begin]?.date;
            while (table.shown[index]?.date === date && table.start + index * MINUTE < to) index++;
            const slots = modelSlots(calendar, table, begin, index);
            for (const slot of slots.filter(({ backup }) => backup)) {
              model.push({
                sequence: ++made,
                takenAt: new Date(slot.at).toISOString(),
                damaged: false,
                retention: {
                  flags: FLAGS.filter((flag) => slot.backupFlags.split(',').includes(flag)),
                  rules: backups,
                  hold: null,
                  expiresAt: null,
                },
              });
            }
            const verdicts = modelRetention(model, backups, table.start + index * MINUTE);
            gone += model.length;
            model = model.flatMap((point, place) => {
              const verdict = verdicts[place];
              const flags = FLAGS.filter((flag) => verdict?.flags.split(',').includes(flag));
              return verdict?.keep ? [{ ...point, retention: { ...point.retention, flags } }] : [];
            });
            gone -= model.length;
            stayed += model.length;
            const ours = day.stays
              .filter(({ kind }) => kind === 'restorePoint')
              .map(({ takenAt, flags }) => `${takenAt.toISOString()} ${flags.join(',')}`)
              .reverse();
            expect(day.made.length).toBe(slots.length);
            expect(ours).toEqual(
              model.map(({ takenAt, retention: { flags } }) => `${takenAt} ${flags.join(',')}`),
            );
          }
        },
      ),
      { numRuns: 200, endOnFailure: true },
    );
    expect(stayed).toBeGreaterThan(1000);
    expect(gone).toBeGreaterThan(1000);
  }, 180_000);
});
