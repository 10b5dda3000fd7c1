/** Work that goes on behind the caller: at most so many at once, and the first failure is met at the next step. */
export class UnderWay {
  readonly #limit: number;
  readonly #work = new Set<Promise<void>>();
  #failure: { error: unknown } | null = null;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Takes over a piece of work; resolves when there is room for another. Throws what an earlier one failed with. */
  async add(work: Promise<void>): Promise<void> {
    const watched = this.#watch(work);
    this.#work.add(watched);
    void watched.then(() => this.#work.delete(watched));
    while (this.#work.size >= this.#limit && !this.#failure) await Promise.race(this.#work);
    this.#check();
  }

  /** Resolves when all of it is done. */
  async done(): Promise<void> {
    await this.settle();
    this.#check();
  }

  /** Resolves when nothing is under way any more, however it ended. */
  async settle(): Promise<void> {
    while (this.#work.size > 0) await Promise.race(this.#work);
  }

  async #watch(work: Promise<void>): Promise<void> {
    try {
      await work;
    } catch (error) {
      this.#failure ??= { error };
    }
  }

  #check(): void {
    if (this.#failure) throw this.#failure.error;
  }
}
