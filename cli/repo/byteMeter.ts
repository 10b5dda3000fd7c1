import type { Clock } from '../../lib/model/index.ts';
import { bytes, duration } from '../output.ts';
import type { ProgressStream } from '../progress.ts';

const REDRAW_MS = 200;
const LINE_MS = 10_000;
const CLEAR_LINE = `\r${String.fromCharCode(27)}[K`;

/**
 * Says how far a stream of bytes is: amount, share, rate, and the time that is left. Redrawn in place on a terminal, else a
 * line every ten seconds; a last line at the end.
 */
export class ByteMeter {
  readonly #stream: ProgressStream;
  readonly #clock: Clock;
  readonly #label: string;
  readonly #total: number | null;
  readonly #startedAt: number;
  #shownAt: number;
  #done = 0;

  /** `total` is null where it is not known. */
  constructor(stream: ProgressStream, clock: Clock, label: string, total: number | null) {
    this.#stream = stream;
    this.#clock = clock;
    this.#label = label;
    this.#total = total;
    this.#startedAt = clock.now().getTime();
    this.#shownAt = this.#startedAt;
  }

  add(count: number): void {
    this.#done += count;
    const now = this.#clock.now().getTime();
    if (now - this.#shownAt < (this.#stream.isTTY ? REDRAW_MS : LINE_MS)) return;
    this.#shownAt = now;
    const rate = this.#rate(now);
    const parts = [this.#amount(), `${bytes(rate)}/s`];
    if (this.#total !== null && rate > 0)
      parts.push(`${duration((1000 * (this.#total - this.#done)) / rate)} left`);
    const text = `${this.#label}: ${parts.join(', ')}`;
    this.#stream.write(
      this.#stream.isTTY ? `${CLEAR_LINE}${text.slice(0, (this.#stream.columns ?? 80) - 1)}` : `${text}\n`,
    );
  }

  end(): void {
    const now = this.#clock.now().getTime();
    const took = now - this.#startedAt;
    const rate = took > 0 ? `, ${bytes(this.#rate(now))}/s` : '';
    this.#stream.write(
      `${this.#stream.isTTY ? CLEAR_LINE : ''}${this.#label}: ${this.#amount()} in ${duration(took)}${rate}\n`,
    );
  }

  #rate(now: number): number {
    return now > this.#startedAt ? (1000 * this.#done) / (now - this.#startedAt) : 0;
  }

  #amount(): string {
    if (this.#total === null) return bytes(this.#done);
    const share = this.#total === 0 ? 100 : Math.min(100, Math.floor((100 * this.#done) / this.#total));
    return `${bytes(this.#done)} of ${bytes(this.#total)} (${share}%)`;
  }
}
