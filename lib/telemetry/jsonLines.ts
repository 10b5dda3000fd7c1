/** Telemetry as JSON lines, for a local run: one object per event or measurement, to a stream or a file. */
import { createWriteStream } from 'node:fs';
import type { Writable } from 'node:stream';
import type { EventFields, EventName, MetricAttributes, MetricName } from './catalogue.ts';
import { flatten, type Telemetry } from './emit.ts';

/**
 * Appends to `target`, a stream or the path of a file (its folder must exist). A target that fails is given up
 * without a word: telemetry never fails what it describes. `now` gives the time of a line in milliseconds.
 */
export function jsonLines(target: Writable | string, now: () => number = Date.now): Telemetry {
  const stream = typeof target === 'string' ? createWriteStream(target, { flags: 'a' }) : target;
  let broken = false;
  stream.on('error', () => {
    broken = true;
  });
  let last: Promise<void> = Promise.resolve();

  function write(line: object): void {
    if (broken) return;
    const text = `${JSON.stringify({ time: new Date(now()).toISOString(), ...line })}\n`;
    last = new Promise((resolve) => {
      stream.write(text, () => resolve());
    });
  }

  return {
    event<N extends EventName>(name: N, fields: EventFields<N>) {
      write({ event: name, ...flatten(name, fields) });
    },
    metric<N extends MetricName>(name: N, value: number, attributes: MetricAttributes<N>) {
      write({ metric: name, value, ...attributes });
    },
    flush: () => last,
  };
}
