/** Work with a size: how many bytes of memory its result takes. */
export interface SizedTask<T> {
  readonly bytes: number;
  run(): Promise<T>;
}

/**
 * Runs tasks ahead of the consumer and yields their results in the order of the tasks. At most `bytes` of results and
 * `tasks` runs are under way or waiting. When the consumer stops or a task fails, nothing more is started.
 */
export async function* inOrder<T>(
  tasks: AsyncIterable<SizedTask<T>>,
  limit: { bytes: number; tasks: number },
  signal?: AbortSignal,
): AsyncGenerator<T> {
  const waiting: { bytes: number; result: Promise<T> }[] = [];
  const iterator = tasks[Symbol.asyncIterator]();
  let inFlight = 0;
  let held: SizedTask<T> | null = null;
  let done = false;
  const start = (task: SizedTask<T>) => {
    const result = task.run();
    // The failure is met when its turn comes; until then it is not unhandled.
    result.catch(() => undefined);
    waiting.push({ bytes: task.bytes, result });
    inFlight += task.bytes;
  };
  try {
    while (!done || held || waiting.length > 0) {
      signal?.throwIfAborted();
      while (!done || held) {
        if (!held) {
          const next: IteratorResult<SizedTask<T>> = await iterator.next();
          if (next.done) {
            done = true;
            break;
          }
          held = next.value;
        }
        const room = waiting.length < limit.tasks && inFlight + held.bytes <= limit.bytes;
        if (!room && waiting.length > 0) break;
        start(held);
        held = null;
      }
      const first = waiting.shift();
      if (!first) continue;
      const value = await untilAborted(first.result, signal);
      inFlight -= first.bytes;
      yield value;
    }
  } finally {
    await iterator.return?.();
  }
}

/** Rejects at once when the signal is aborted, even if the work takes no notice of it. */
export function untilAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return work;
  return new Promise<T>((resolve, reject) => {
    const onAbort = () => reject(signal.reason as Error);
    if (signal.aborted) return onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}
