/**
 * The redactor as processors of the SDK: everything that leaves through it (what functions log, exceptions,
 * dependency calls), not only our own events, loses its secrets.
 */
import type { useAzureMonitor } from 'applicationinsights';
import { redact } from './redact.ts';

type Options = NonNullable<Parameters<typeof useAzureMonitor>[0]>;
type LogProcessor = NonNullable<Options['logRecordProcessors']>[number];
type SpanProcessor = NonNullable<Options['spanProcessors']>[number];

function scrub(attributes: Record<string, unknown>): void {
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === 'string') attributes[key] = redact(value);
  }
}

export function scrubbers(): { logRecordProcessors: LogProcessor[]; spanProcessors: SpanProcessor[] } {
  const rest = { forceFlush: () => Promise.resolve(), shutdown: () => Promise.resolve() };
  return {
    logRecordProcessors: [
      {
        ...rest,
        onEmit(record) {
          if (typeof record.body === 'string') record.setBody(redact(record.body));
          scrub(record.attributes);
        },
      },
    ],
    spanProcessors: [
      {
        ...rest,
        onStart() {},
        // After its end a span takes no attributes by its interface; the exporter reads the same objects later.
        onEnd(span) {
          scrub(span.attributes);
          for (const event of span.events) if (event.attributes) scrub(event.attributes);
        },
      },
    ],
  };
}
