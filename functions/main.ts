/** The app's one entry: telemetry first, so that it observes what is loaded after it, then every function. */
import { startTelemetry, telemetrySettings } from '../lib/telemetry/index.ts';

await startTelemetry(telemetrySettings(process.env));
await import('./functions.ts');
