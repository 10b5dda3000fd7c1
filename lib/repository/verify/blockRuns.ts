/** Neighbouring blocks of a disk: the first one's number, and how many. Lists of runs ascend, and no two touch. */
export type BlockRun = readonly [first: number, count: number];

/** Gathers runs in ascending order; what touches or overlaps becomes one. */
export class RunList {
  readonly #runs: [first: number, count: number][] = [];

  get runs(): readonly BlockRun[] {
    return this.#runs;
  }

  get blocks(): number {
    return this.#runs.reduce((sum, [, count]) => sum + count, 0);
  }

  /** `first` must not lie before the last run that was added. */
  add(first: number, count = 1): void {
    const last = this.#runs.at(-1);
    if (last && first <= last[0] + last[1]) last[1] = Math.max(last[1], first + count - last[0]);
    else this.#runs.push([first, count]);
  }
}

/** At most `most` runs that cover all the given ones: where there are more, those with the smallest gaps become one. */
export function coarsen(runs: readonly BlockRun[], most: number): BlockRun[] {
  if (runs.length <= most) return [...runs];
  const gapBefore = runs.map(([first], i) => {
    const before = runs[i - 1];
    return before ? first - (before[0] + before[1]) : Infinity;
  });
  const kept = new Set(
    gapBefore
      .map((gap, i) => ({ gap, i }))
      .sort((a, b) => b.gap - a.gap || a.i - b.i)
      .slice(0, most)
      .map(({ i }) => i),
  );
  const coarse = new RunList();
  let start = 0;
  runs.forEach(([first, count], i) => {
    if (kept.has(i)) start = first;
    coarse.add(start, first + count - start);
  });
  return [...coarse.runs];
}

/** Those of [from, to) that lie in a run. */
export function* blocksWithin(runs: readonly BlockRun[], from: number, to: number): Iterable<number> {
  for (const [first, count] of runs) {
    if (first >= to) return;
    for (let block = Math.max(first, from); block < Math.min(first + count, to); block++) yield block;
  }
}
