import type { JobIo } from './jobIo.ts';
import type { Feed, LanePlaces, LaneReport, LaneSetup, LaneWork } from './lanes.ts';
import { runLane } from './runLane.ts';

export interface LanesWork {
  /** The setup of lane `lane` of `lanes`. */
  setup(lane: number, lanes: number): LaneSetup;
  /** Handed out to whichever lane asks next. */
  readonly work: AsyncIterator<LaneWork>;
  /** What a report throws ends all lanes. */
  report(report: LaneReport): void | Promise<void>;
}

/**
 * Runs a job's lanes to their end: in the threads that the job was given, else one in this thread. When one fails, or the
 * signal is aborted, the others are stopped and waited for, so that nothing goes on behind the next attempt.
 */
export async function runLanes(
  io: Pick<JobIo, 'lanes' | 'signal' | 'refused'>,
  /** For a lane in this thread: null when the job has threads. */
  places: LanePlaces | null,
  { setup, work, report }: LanesWork,
): Promise<void> {
  const stop = new AbortController();
  const signal = AbortSignal.any([io.signal, stop.signal]);
  let turn: Promise<unknown> = Promise.resolve();
  let failed: { error: unknown } | null = null;
  const fail = (error: unknown) => {
    failed ??= { error };
    stop.abort(error);
  };
  const next = (): Promise<LaneWork | null> => {
    // One after the other: the work is a generator.
    const mine = turn.then(async () => {
      signal.throwIfAborted();
      const found = await work.next();
      return found.done ? null : found.value;
    });
    turn = mine.catch(() => undefined);
    return mine;
  };
  const reports = new Set<Promise<void>>();
  const feed: Feed = {
    next,
    signal,
    report: (what) => {
      if (what.kind === 'refused') return io.refused?.(what.calls, what.seconds);
      try {
        const done = report(what);
        if (!done) return;
        const watched = done.catch(fail).finally(() => reports.delete(watched));
        reports.add(watched);
      } catch (error) {
        fail(error);
      }
    },
  };
  const count = io.lanes?.count ?? 1;
  const run = (lane: number): Promise<void> => {
    if (io.lanes) return io.lanes.run(setup(lane, count), feed);
    if (places) return runLane(setup(lane, count), places, feed);
    return Promise.reject(new TypeError('a lane needs a thread, or places'));
  };
  await Promise.all(Array.from({ length: count }, (_, lane) => run(lane).catch(fail)));
  await Promise.all(reports);
  await work.return?.();
  io.signal.throwIfAborted();
  if (failed) throw (failed as { error: unknown }).error;
}
