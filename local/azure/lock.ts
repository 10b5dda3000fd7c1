/** One writer at a time, in the order of asking: the resource manager of one machine needs no finer lock. */
export class WriteLock {
  private tail: Promise<unknown> = Promise.resolve();

  /** Runs `work` after all earlier work has ended, whether it succeeded or not. Must not be taken again inside `work`. */
  run<R>(work: () => Promise<R> | R): Promise<R> {
    const turn = this.tail.then(work);
    this.tail = turn.catch(() => undefined);
    return turn;
  }
}
