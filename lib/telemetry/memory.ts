/** Telemetry that keeps what it was told, for tests. Unlike the others it throws on a field that does not fit. */
import type { EventFields, EventName, MetricAttributes, MetricName } from './catalogue.ts';
import { misfit, type Telemetry } from './emit.ts';

export interface RecordedEvent {
  readonly name: EventName;
  readonly fields: Readonly<Record<string, unknown>>;
}

export interface RecordedMetric {
  readonly name: MetricName;
  readonly value: number;
  readonly attributes: Readonly<Record<string, string>>;
}

export class MemoryTelemetry implements Telemetry {
  readonly events: RecordedEvent[] = [];
  readonly metrics: RecordedMetric[] = [];

  event<N extends EventName>(name: N, fields: EventFields<N>): void {
    const wrong = misfit(name, fields);
    if (wrong !== undefined) throw new TypeError(`${name} does not fit the catalogue: ${wrong}`);
    this.events.push({ name, fields });
  }

  metric<N extends MetricName>(name: N, value: number, attributes: MetricAttributes<N>): void {
    this.metrics.push({ name, value, attributes: { ...attributes } });
  }

  flush(): Promise<void> {
    return Promise.resolve();
  }

  /** The fields of all events of one name, in order. */
  of<N extends EventName>(name: N): EventFields<N>[] {
    return this.events.filter((event) => event.name === name).map((event) => event.fields as EventFields<N>);
  }
}
