/** Keeps what was used last, up to a total weight. What is being loaded is loaded once. */
export class Recent<T> {
  readonly #limit: number;
  readonly #weigh: (value: T) => number;
  readonly #entries = new Map<string, { value: Promise<T>; weight: number }>();
  #total = 0;

  constructor(limit: number, weigh: (value: T) => number) {
    this.#limit = limit;
    this.#weigh = weigh;
  }

  get(key: string, load: () => Promise<T>): Promise<T> {
    const known = this.#entries.get(key);
    if (known) {
      this.#entries.delete(key);
      this.#entries.set(key, known);
      return known.value;
    }
    const entry = { value: load(), weight: 0 };
    this.#entries.set(key, entry);
    void this.#weighWhenLoaded(key, entry);
    return entry.value;
  }

  async #weighWhenLoaded(key: string, entry: { value: Promise<T>; weight: number }): Promise<void> {
    try {
      entry.weight = this.#weigh(await entry.value);
      this.#total += entry.weight;
      this.#shrink();
    } catch {
      // A failure is not kept: the next caller tries again.
      this.#entries.delete(key);
    }
  }

  #shrink(): void {
    for (const [key, { weight }] of this.#entries) {
      if (this.#total <= this.#limit) return;
      // Being loaded: it has no weight yet.
      if (weight === 0) continue;
      this.#entries.delete(key);
      this.#total -= weight;
    }
  }
}
