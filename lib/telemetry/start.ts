/**
 * Starts telemetry once per process. It is the first thing the app's entry does: what is loaded later is observed.
 * Nothing of the SDK is loaded before somebody gives a connection string.
 */
import { createRequire } from 'node:module';
import { azureMonitor } from './azureMonitor.ts';
import { silent, type Telemetry } from './emit.ts';
import { jsonLines } from './jsonLines.ts';
import { redact } from './redact.ts';
import { scrubbers } from './scrub.ts';

export interface TelemetrySettings {
  /** Application Insights connection string; absent or empty: nothing is sent to Azure Monitor. */
  readonly connectionString?: string | undefined;
  /**
   * Client id of the managed identity that may publish, for a component with local authentication switched off;
   * `'system'` for the system-assigned one. Absent: the connection string's key is enough.
   */
  readonly identity?: string | undefined;
  /** Where a local run writes JSON lines when there is no connection string; absent: nowhere. */
  readonly file?: string | undefined;
}

/**
 * The settings of an app or a local run, from its environment: the two variables by which Azure Functions itself is told
 * (`Authorization=AAD` means that the component refuses keys), and `HOLDFAST_TELEMETRY_FILE`.
 */
export function telemetrySettings(env: Readonly<Record<string, string | undefined>>): TelemetrySettings {
  const parts = (env['APPLICATIONINSIGHTS_AUTHENTICATION_STRING'] ?? '')
    .split(';')
    .map((part) => part.trim());
  const clientId = parts.find((part) => /^ClientId=/i.test(part))?.slice('ClientId='.length);
  const byIdentity = parts.some((part) => /^Authorization=AAD$/i.test(part));
  return {
    connectionString: env['APPLICATIONINSIGHTS_CONNECTION_STRING'],
    identity: byIdentity ? clientId || 'system' : undefined,
    file: env['HOLDFAST_TELEMETRY_FILE'],
  };
}

/** A symbol and not a module variable: the app's bundle may be loaded twice, and two SDKs would send all twice. */
const STARTED = Symbol.for('holdfast.telemetry');
const registry = globalThis as { [STARTED]?: Promise<Telemetry> };

/** The telemetry of this process; never rejects. The first call decides, later ones get what it made, whatever they pass. */
export function startTelemetry(settings: TelemetrySettings): Promise<Telemetry> {
  registry[STARTED] ??= start(settings);
  return registry[STARTED];
}

async function start(settings: TelemetrySettings): Promise<Telemetry> {
  if (settings.connectionString) {
    try {
      return await startAzureMonitor(settings.connectionString, settings.identity);
    } catch (error) {
      // A backup system that does not start because it cannot report would be the worse failure.
      const reason = redact(error instanceof Error ? error.message : String(error));
      process.emitWarning(`Telemetry is off: ${reason} Check APPLICATIONINSIGHTS_CONNECTION_STRING.`);
      return silent;
    }
  }
  return settings.file ? jsonLines(settings.file) : silent;
}

async function startAzureMonitor(connectionString: string, identity: string | undefined): Promise<Telemetry> {
  // The SDK's own sampler keeps 5 traces a second and, in a burst under a sampled parent, loses nearly all.
  // Sessions are few and each matters: follow the host's decision, keep all else.
  process.env['OTEL_TRACES_SAMPLER'] ??= 'parentbased_always_on';
  const { useAzureMonitor, flushAzureMonitor } = await import('applicationinsights');
  const off = { enabled: false };
  useAzureMonitor({
    azureMonitorExporterOptions: {
      connectionString,
      ...(identity === undefined ? {} : { credential: await managedIdentity(identity) }),
    },
    // The host records requests, live metrics and the machine's counters; doing it here too would double them.
    enableLiveMetrics: false,
    enablePerformanceCounters: false,
    // An event is a fact, whether or not the trace around it was sampled.
    enableTraceBasedSamplingForLogs: false,
    instrumentationOptions: {
      azureSdk: { enabled: true },
      http: { enabled: true, disableIncomingRequestInstrumentation: true } as { enabled: boolean },
      mongoDb: off,
      mySql: off,
      postgreSql: off,
      redis: off,
      redis4: off,
      bunyan: off,
      winston: off,
      console: off,
    },
    ...scrubbers(),
  });
  await joinFunctionsHost();
  return azureMonitor(flushAzureMonitor);
}

async function managedIdentity(clientId: string) {
  const { ManagedIdentityCredential } = await import('@azure/identity');
  return clientId === 'system'
    ? new ManagedIdentityCredential()
    : new ManagedIdentityCredential({ clientId });
}

/**
 * Inside a Functions host: invocations take over the host's trace, and what `context.log` says goes out from here
 * (the host then leaves it alone). Elsewhere (worker, command line) there is no host, and nothing to do.
 */
async function joinFunctionsHost(): Promise<void> {
  try {
    // Only require is answered by the host's loader; the package does not exist on disk.
    createRequire(import.meta.url)('@azure/functions-core');
  } catch {
    return;
  }
  const [functions, { AzureFunctionsInstrumentationESM }] = await Promise.all([
    import('@azure/functions'),
    import('@azure/functions-opentelemetry-instrumentation'),
  ]);
  new AzureFunctionsInstrumentationESM().registerAzFunc(functions);
}
