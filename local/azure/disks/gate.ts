/** Order among the operations of a store: one key's shared operations run one after the other, an exclusive one alone. First come, first served. */
export class Gate {
  readonly #tails = new Map<string, Promise<void>>();
  #barrier: Promise<void> = Promise.resolve();

  /** Runs `work` after the earlier work of this key and after every earlier exclusive work. */
  shared<T>(key: string, work: () => Promise<T> | T): Promise<T> {
    const run = Promise.all([this.#tails.get(key), this.#barrier]).then(work);
    const tail: Promise<void> = settled(run).then(() => this.#forget(key, tail));
    this.#tails.set(key, tail);
    return run;
  }

  #forget(key: string, tail: Promise<void>): void {
    if (this.#tails.get(key) === tail) this.#tails.delete(key);
  }

  /** Runs `work` when all earlier work is done; later work waits for it. */
  exclusive<T>(work: () => Promise<T> | T): Promise<T> {
    const run = Promise.all([...this.#tails.values(), this.#barrier]).then(work);
    this.#barrier = settled(run);
    return run;
  }
}

function settled(run: Promise<unknown>): Promise<void> {
  return run.then(
    () => undefined,
    () => undefined,
  );
}
