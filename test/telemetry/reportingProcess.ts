/** Started by ingestion.test.ts as a process of its own: the SDK's globals cannot be taken back. */
import { context, TraceFlags, trace } from '@opentelemetry/api';
import { sessionCompleted, startTelemetry } from '../../lib/telemetry/index.ts';
import { functionsHost } from './fakeFunctionsHost.ts';

// A Functions host answers `require('@azure/functions-core')`; other programs run without one.
const host = process.env['TEST_FUNCTIONS_HOST'] === 'true' ? functionsHost() : undefined;

const connectionString = process.env['TEST_CONNECTION_STRING'];
const telemetry = await startTelemetry({ connectionString });
const again = await startTelemetry({ connectionString });
if (again !== telemetry) throw new Error('The second start made a second SDK.');

sessionCompleted(telemetry, {
  sessionId: 's-1',
  kind: 'backup',
  machineId: 'https://md-1.blob.core.windows.net/x?sv=1&sig=c2VjcmV0LXNpZ25hdHVyZQ%3D%3D&se=2',
  policyId: null,
  outcome: 'failed',
  readReasons: ['first', 'changedBlocks'],
  bytesRead: 4096,
  bytesStored: 1024,
  durationSeconds: 12.5,
  errorCode: 'diffFailed',
});

// Inside a trace that the caller decided not to sample, an event is still a fact.
const unsampled = {
  traceId: '0af7651916cd43dd8448eb211c80319c',
  spanId: 'b7ad6b7169203331',
  traceFlags: TraceFlags.NONE,
};
context.with(trace.setSpanContext(context.active(), unsampled), () => {
  telemetry.event('holdfast.scheduler.tick', { policies: 2, due: 1, started: 1, lateSeconds: 0 });
});

// A burst under a sampled parent: every span is kept.
const sampled = { ...unsampled, traceFlags: TraceFlags.SAMPLED };
context.with(trace.setSpanContext(context.active(), sampled), () => {
  for (let n = 0; n < 50; n += 1) {
    const span = trace.getTracer('test').startSpan(`step ${n}`);
    span.setAttribute('note', 'Authorization: Bearer abcdefghijklmnopqrstuvwxyz');
    span.end();
  }
});

// What a function logs, and what it does inside an invocation, belongs to the host's trace.
host?.log('warning', 'retrying https://x/y?sv=1&sig=bG9nZ2VkLXNpZ25hdHVyZQ%3D%3D');
host?.invoke('00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01', () => {
  trace.getTracer('test').startSpan('inside the invocation').end();
});

await telemetry.flush();
process.exit(0);
