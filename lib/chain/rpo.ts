/** How much of the newest work would be lost, in seconds. */
export interface Rpo {
  /** The newest usable point. */
  readonly lastAt: Date | null;
  /** Age of the newest usable point now: what a loss at this moment would cost. Null when there is none. */
  readonly currentSeconds: number | null;
  /** The longest stretch without a new point within the period, the one up to now included. Null as above. */
  readonly worstSeconds: number | null;
}

/**
 * The recovery point that a machine has. Points in the future (clocks differ) count as now.
 *
 * @param takenAt of the points that can be restored, in any order
 * @param since the begin of the period for the worst stretch; a stretch that reaches into it counts whole
 */
export function rpoOf(takenAt: readonly Date[], since: Date, now: Date): Rpo {
  const times = takenAt.map((at) => Math.min(at.getTime(), now.getTime())).sort((a, b) => a - b);
  const last = times.at(-1);
  if (last === undefined) return { lastAt: null, currentSeconds: null, worstSeconds: null };
  let worst = 0;
  for (const [index, time] of times.entries()) {
    const next = times[index + 1] ?? now.getTime();
    if (next >= since.getTime()) worst = Math.max(worst, next - time);
  }
  return {
    lastAt: new Date(last),
    currentSeconds: (now.getTime() - last) / 1000,
    worstSeconds: worst / 1000,
  };
}
