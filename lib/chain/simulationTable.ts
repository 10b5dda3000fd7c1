import { type Flag, flagLetters } from '../model/index.ts';
import { isoDate, wallClock } from '../schedule/index.ts';
import { describeDecision } from './decision.ts';
import type { SimulatedDay } from './simulate.ts';

/** One line of a simulation, for a table, JSON or CSV. */
export interface SimulationRow {
  /** The day that the line tells of. */
  readonly day: string;
  readonly kind: 'restorePoint' | 'snapshot';
  readonly takenAt: string;
  /** `made` on that day (and still there at its end), `stays`, or `goes`. */
  readonly change: 'made' | 'stays' | 'goes';
  readonly flags: string;
  readonly why: string;
}

const PAD = 2;

/**
 * The days as lines. `changes` leaves out what was there before and stays, except on the last day, which shows everything.
 */
export function simulationRows(
  days: Iterable<SimulatedDay>,
  timeZone: string,
  detail: 'all' | 'changes' = 'changes',
): SimulationRow[] {
  const clock = wallClock(timeZone);
  const show = (at: Date): string => {
    const { day, minute } = clock.at(at);
    const pad = (n: number) => String(n).padStart(PAD, '0');
    return `${isoDate(day)} ${pad(Math.floor(minute / 60))}:${pad(minute % 60)}`;
  };
  const all = [...days];
  return all.flatMap(({ date, made, stays, goes }, index) => {
    const fresh = new Set(made.map(({ at }) => at.getTime()));
    const row = (
      change: SimulationRow['change'],
      item: { kind: SimulationRow['kind']; takenAt: Date; flags: readonly Flag[]; why: string },
    ): SimulationRow => ({
      day: date,
      kind: item.kind,
      takenAt: show(item.takenAt),
      change,
      flags: flagLetters(item.flags),
      why: describeDecision({ keep: change !== 'goes', why: item.why }),
    });
    const lines = stays.map((item) => row(fresh.has(item.takenAt.getTime()) ? 'made' : 'stays', item));
    const everything = detail === 'all' || index === all.length - 1;
    return [
      ...goes.map((item) => row('goes', item)),
      ...lines.filter(({ change }) => everything || change === 'made'),
    ];
  });
}

/** The lines as text in columns, with a head. */
export function simulationTable(rows: readonly SimulationRow[]): string {
  const sign = { made: '+', stays: ' ', goes: '-' } as const;
  const cells = rows.map(({ day, kind, takenAt, change, flags, why }) => [
    day,
    sign[change],
    kind === 'restorePoint' ? 'restore point' : 'snapshot',
    takenAt,
    flags,
    why,
  ]);
  const table = [['DAY', '', 'WHAT', 'TAKEN', 'FLAGS', 'WHY'], ...cells];
  const widths = [0, 1, 2, 3, 4].map((column) => Math.max(...table.map((line) => line[column]?.length ?? 0)));
  return table
    .map((line) =>
      line
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
