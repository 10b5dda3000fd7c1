/** How a request went: `busy` when the service said that it has too much to do. */
export type Outcome = 'served' | 'busy' | 'failed';

/**
 * How many requests may be under way at once: found out, not configured. Each answer lets in a little more, up to one more for
 * as many answers as there are places; `busy` halves the places. What was sent before a halving does not halve again.
 */
export class AdaptiveLimit {
  readonly #most: number;
  readonly #waiting: (() => void)[] = [];
  #places: number;
  #running = 0;
  #halvings = 0;

  constructor({ most, first = most }: { most: number; first?: number }) {
    this.#most = most;
    this.#places = first;
  }

  get places(): number {
    return Math.max(1, Math.floor(this.#places));
  }

  /** Resolves when there is a place, with what gives it back; rejects when the signal is aborted first. */
  async enter(signal?: AbortSignal): Promise<(outcome: Outcome) => void> {
    signal?.throwIfAborted();
    if (this.#running >= this.places) await this.#turn(signal);
    else this.#running++;
    const halvings = this.#halvings;
    let left = false;
    return (outcome) => {
      if (left) return;
      left = true;
      this.#running--;
      if (outcome === 'busy' && halvings === this.#halvings) {
        this.#halvings++;
        this.#places = Math.max(1, this.#places / 2);
      } else if (outcome === 'served') {
        this.#places = Math.min(this.#most, this.#places + 1 / this.#places);
      }
      while (this.#waiting.length > 0 && this.#running < this.places) {
        this.#running++;
        this.#waiting.shift()?.();
      }
    };
  }

  #turn(signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const go = () => {
        signal?.removeEventListener('abort', onAbort);
        resolve();
      };
      const onAbort = () => {
        const at = this.#waiting.indexOf(go);
        if (at < 0) return;
        this.#waiting.splice(at, 1);
        reject(signal?.reason as Error);
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#waiting.push(go);
    });
  }
}
