import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { telemetrySettings } from '../../lib/telemetry/start.ts';

const START = new URL('../../lib/telemetry/start.ts', import.meta.url).href;

/** Runs `program` in a process of its own, where nothing has been started, and gives what it prints. */
async function inFreshProcess(program: string): Promise<unknown> {
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', program], {
    env: { PATH: process.env['PATH'] },
  });
  return JSON.parse(stdout);
}

describe('startTelemetry', () => {
  it('sets nothing up and loads no SDK when there is no connection string', async () => {
    const seen = await inFreshProcess(`
      import { createRequire } from 'node:module';
      const { startTelemetry } = await import(${JSON.stringify(START)});
      const telemetry = await startTelemetry({ connectionString: '' });
      telemetry.event('holdfast.session.started', { sessionId: 's', kind: 'backup' });
      await telemetry.flush();
      const require = createRequire(${JSON.stringify(START)});
      console.log(JSON.stringify({
        sdk: Object.keys(require.cache).filter((file) => /applicationinsights|sdk-node/.test(file)).length,
        sampler: process.env.OTEL_TRACES_SAMPLER ?? null,
      }));
    `);
    expect(seen).toEqual({ sdk: 0, sampler: null });
  });

  it('goes on in silence, with a warning, when the connection string is no good', async () => {
    const seen = await inFreshProcess(`
      process.env.APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL = 'true';
      const warnings = [];
      process.on('warning', (warning) => warnings.push(warning.message));
      const { startTelemetry } = await import(${JSON.stringify(START)});
      const telemetry = await startTelemetry({ connectionString: 'nonsense;AccountKey=c2VjcmV0c2VjcmV0' });
      telemetry.event('holdfast.session.started', { sessionId: 's', kind: 'backup' });
      await telemetry.flush();
      await new Promise((resolve) => setImmediate(resolve));
      console.log(JSON.stringify({
        warned: warnings.filter((text) => text.startsWith('Telemetry is off')).length,
        leaked: warnings.some((text) => text.includes('c2VjcmV0')),
      }));
      process.exit(0);
    `);
    expect(seen).toEqual({ warned: 1, leaked: false });
  });

  it('starts once in a process, even when the module is loaded twice', async () => {
    const seen = await inFreshProcess(`
      const first = await import(${JSON.stringify(`${START}?copy=1`)});
      const second = await import(${JSON.stringify(`${START}?copy=2`)});
      console.log(JSON.stringify({
        copies: first.startTelemetry !== second.startTelemetry,
        same: (await first.startTelemetry({})) === (await second.startTelemetry({})),
      }));
    `);
    expect(seen).toEqual({ copies: true, same: true });
  });
});

describe('telemetrySettings', () => {
  const connectionString = 'InstrumentationKey=k;IngestionEndpoint=https://x/';

  it.each([
    ['ClientId=11-22;Authorization=AAD', '11-22'],
    ['Authorization=AAD;ClientId=11-22', '11-22'],
    ['Authorization=AAD', 'system'],
    ['', undefined],
    [undefined, undefined],
  ])('signs in as "%s" says', (authentication, identity) => {
    const env = {
      APPLICATIONINSIGHTS_CONNECTION_STRING: connectionString,
      APPLICATIONINSIGHTS_AUTHENTICATION_STRING: authentication,
    };
    expect(telemetrySettings(env)).toEqual({ connectionString, identity, file: undefined });
  });
});
