/** The port: what the rest of Holdfast calls to say that something happened. */
import {
  EVENTS,
  type EventFields,
  type EventName,
  type MetricAttributes,
  type MetricName,
} from './catalogue.ts';
import { redact } from './redact.ts';

/**
 * Where events and metrics go. Neither call throws or waits: telemetry never fails a backup. Calls from code
 * that may run twice give two events; receivers tell them apart by session id.
 */
export interface Telemetry {
  /** Says that `name` happened. Strings are redacted before they leave. */
  event<N extends EventName>(name: N, fields: EventFields<N>): void;
  /** Adds one measurement, in the unit of the catalogue. */
  metric<N extends MetricName>(name: N, value: number, attributes: MetricAttributes<N>): void;
  /** Resolves when what was said has been handed over, or was given up; call it before a process ends. */
  flush(): Promise<void>;
}

export type Properties = Record<string, string | number | boolean>;

/** Says nothing, costs nothing: for programs that are told no place to report to. */
export const silent: Telemetry = {
  event() {},
  metric() {},
  flush: () => Promise.resolve(),
};

/**
 * The end of a session in all its forms: the event, and the metrics that charts are drawn from.
 * Activities call this and not the four calls by themselves, so that charts and events agree.
 */
export function sessionCompleted(
  telemetry: Telemetry,
  fields: EventFields<'holdfast.session.completed'>,
): void {
  const { kind, outcome } = fields;
  telemetry.event('holdfast.session.completed', fields);
  telemetry.metric('holdfast.session.duration', fields.durationSeconds, { kind, outcome });
  if (fields.bytesRead > 0) telemetry.metric('holdfast.io.read', fields.bytesRead, { kind });
  if (fields.bytesStored > 0) telemetry.metric('holdfast.io.stored', fields.bytesStored, { kind });
}

/** Why these fields do not fit the catalogue, or undefined when they do. Names fields, repeats no value. */
export function misfit(name: EventName, fields: object): string | undefined {
  const parsed = EVENTS[name].fields.safeParse(fields);
  if (parsed.success) return undefined;
  return parsed.error.issues.map((issue) => `${issue.path.join('.') || 'event'}: ${issue.code}`).join(', ');
}

/**
 * An event's fields as flat properties: lists joined by commas, absent ones left out, strings redacted. Fields that
 * do not fit the catalogue are sent all the same, marked `schemaError`: a half-told fact beats silence.
 */
export function flatten(name: EventName, fields: object): Properties {
  const properties: Properties = {};
  for (const [key, value] of Object.entries(fields)) {
    if (value === undefined || value === null) continue;
    if (typeof value === 'number' || typeof value === 'boolean') properties[key] = value;
    else properties[key] = redact(Array.isArray(value) ? value.join(',') : String(value));
  }
  const wrong = misfit(name, fields);
  return wrong === undefined ? properties : { ...properties, schemaError: wrong };
}
