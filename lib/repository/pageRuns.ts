import type { MapId } from './names.ts';
import type { Ref } from './refs.ts';

/** Pages that one read fetches: records [first, last] of one map object. */
export interface PageRun {
  readonly object: MapId;
  readonly first: number;
  readonly last: number;
  /** Ascending by record. */
  readonly refs: readonly Ref[];
}

/** Records of a run at most: pages take a few hundred bytes each, and 6 KiB at the very most. */
const RUN_RECORDS = 128;
/** A gap of so many records is read and thrown away rather than asked around. */
const GAP_RECORDS = 16;
/** Memory that the pages of a run take, decoded. */
export const RUN_BYTES = RUN_RECORDS * 6 * 1024;

/** Groups references into runs: by object in order of their first mention, within it by record. */
export function pageRuns(refs: Iterable<Ref>): PageRun[] {
  const byObject = new Map<string, Ref[]>();
  for (const ref of refs) {
    const { sequence, disk, shard, attempt } = ref.object;
    const key = `${sequence}.${disk}.${shard}.${attempt}`;
    const known = byObject.get(key);
    if (known) known.push(ref);
    else byObject.set(key, [ref]);
  }
  return [...byObject.values()].flatMap(runsOfObject);
}

function runsOfObject(refs: readonly Ref[]): PageRun[] {
  const runs: { object: MapId; first: number; last: number; refs: Ref[] }[] = [];
  for (const ref of refs.toSorted((a, b) => a.record - b.record)) {
    const run = runs.at(-1);
    if (run && ref.record - run.last <= GAP_RECORDS && ref.record - run.first < RUN_RECORDS) {
      run.refs.push(ref);
      run.last = ref.record;
    } else runs.push({ object: ref.object, first: ref.record, last: ref.record, refs: [ref] });
  }
  return runs;
}
