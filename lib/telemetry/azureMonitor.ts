/**
 * Telemetry through OpenTelemetry to Azure Monitor. An event is a log record with the attribute
 * `microsoft.custom_event.name`, which the exporter turns into a row of `AppEvents`; metrics are instruments of one
 * meter. Without a started SDK (see start.ts) both go nowhere.
 */
import { type Counter, type Histogram, metrics } from '@opentelemetry/api';
import { logs, SeverityNumber } from '@opentelemetry/api-logs';
import {
  type EventFields,
  type EventName,
  METRICS,
  type MetricAttributes,
  type MetricName,
} from './catalogue.ts';
import { flatten, type Telemetry } from './emit.ts';

const SCOPE = 'holdfast';

/** `flush` hands over what is queued in the SDK; it is called at most once at a time. */
export function azureMonitor(flush: () => Promise<void>): Telemetry {
  const instruments = new Map<MetricName, Histogram | Counter>();
  let flushing: Promise<void> | undefined;

  function instrument(name: MetricName): Histogram | Counter {
    const known = instruments.get(name);
    if (known !== undefined) return known;
    const { description, unit, instrument: type } = METRICS[name];
    const meter = metrics.getMeter(SCOPE);
    const made =
      type === 'histogram'
        ? meter.createHistogram(name, { description, unit })
        : meter.createCounter(name, { description, unit });
    instruments.set(name, made);
    return made;
  }

  return {
    event<N extends EventName>(name: N, fields: EventFields<N>) {
      logs.getLogger(SCOPE).emit({
        severityNumber: SeverityNumber.INFO,
        attributes: { 'microsoft.custom_event.name': name, ...flatten(name, fields) },
      });
    },
    metric<N extends MetricName>(name: N, value: number, attributes: MetricAttributes<N>) {
      const target = instrument(name);
      if ('record' in target) target.record(value, { ...attributes });
      else target.add(value, { ...attributes });
    },
    flush() {
      flushing ??= flush().finally(() => {
        flushing = undefined;
      });
      return flushing;
    },
  };
}
