import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { generate } from 'selfsigned';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

interface Envelope {
  readonly name: string;
  readonly tags: Record<string, string>;
  readonly data: {
    readonly baseType: string;
    readonly baseData: {
      readonly name?: string;
      readonly message?: string;
      readonly properties?: Record<string, string>;
      readonly metrics?: readonly { name: string; value: number; count?: number }[];
    };
  };
}

/** An ingestion endpoint as the exporter speaks to it: HTTPS only, JSON arrays, a count in the answer. */
async function startIngestion(tls: {
  key: string;
  cert: string;
}): Promise<{ server: Server; received: Envelope[] }> {
  const received: Envelope[] = [];
  const server = createServer(tls, (request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      if (!request.url?.startsWith('/v2.1/track')) return response.writeHead(404).end();
      const raw = Buffer.concat(chunks);
      const body = request.headers['content-encoding'] === 'gzip' ? gunzipSync(raw) : raw;
      const items = JSON.parse(body.toString('utf8')) as Envelope[];
      received.push(...items);
      response.writeHead(200, { 'content-type': 'application/json' });
      return response.end(
        JSON.stringify({ itemsReceived: items.length, itemsAccepted: items.length, errors: [] }),
      );
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { server, received };
}

describe('telemetry that reaches the ingestion endpoint', () => {
  let folder: string;
  let server: Server;
  let received: Envelope[];
  let exit: { code: number | null; output: string };

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'holdfast-telemetry-'));
    const pems = await generate([{ name: 'commonName', value: 'localhost' }], {
      keySize: 2048,
      extensions: [{ name: 'subjectAltName', altNames: [{ type: 2, value: 'localhost' }] }],
    });
    await writeFile(join(folder, 'cert.pem'), pems.cert);
    ({ server, received } = await startIngestion({ key: pems.private, cert: pems.cert }));
    const { port } = server.address() as AddressInfo;
    const endpoint = `https://localhost:${port}/`;
    const child = spawn(
      process.execPath,
      [fileURLToPath(new URL('./reportingProcess.ts', import.meta.url))],
      {
        env: {
          PATH: process.env['PATH'],
          NODE_EXTRA_CA_CERTS: join(folder, 'cert.pem'),
          TEST_FUNCTIONS_HOST: 'true',
          TEST_CONNECTION_STRING: `InstrumentationKey=00000000-0000-0000-0000-000000000001;IngestionEndpoint=${endpoint};LiveEndpoint=${endpoint}`,
          // Without these the SDK reports about itself, and looks for the metadata service of a VM.
          APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL: 'true',
          FUNCTIONS_WORKER_RUNTIME: 'node',
          FUNCTIONS_EXTENSION_VERSION: '~4',
          WEBSITE_SITE_NAME: 'holdfast-test',
          TMPDIR: folder,
        },
      },
    );
    let output = '';
    child.stdout.on('data', (chunk) => (output += String(chunk)));
    child.stderr.on('data', (chunk) => (output += String(chunk)));
    exit = await new Promise((resolve) => child.on('exit', (code) => resolve({ code, output })));
  });

  afterAll(async () => {
    server?.closeAllConnections();
    await new Promise((resolve) => server?.close(resolve));
    await rm(folder, { recursive: true, force: true });
  });

  const events = (name: string) =>
    received.filter(({ data }) => data.baseType === 'EventData' && data.baseData.name === name);

  it('the process ends well, and what it said has arrived', () => {
    expect(exit).toMatchObject({ code: 0 });
    expect(received.length).toBeGreaterThan(0);
  });

  it('a custom event arrives once, with its properties, redacted', () => {
    const [completed, ...more] = events('holdfast.session.completed');
    expect(more).toEqual([]);
    expect(completed?.data.baseData.properties).toMatchObject({
      sessionId: 's-1',
      kind: 'backup',
      machineId: 'https://md-1.blob.core.windows.net/x?sv=1&sig=REDACTED&se=2',
      outcome: 'failed',
      readReasons: 'first,changedBlocks',
      bytesRead: '4096',
      bytesStored: '1024',
      durationSeconds: '12.5',
      errorCode: 'diffFailed',
    });
    expect(completed?.tags['ai.cloud.role']).toBe('holdfast-test');
  });

  it('an event inside an unsampled trace arrives', () => {
    expect(events('holdfast.scheduler.tick')).toHaveLength(1);
  });

  it('the metrics of a session arrive with the values of its event', () => {
    const points = received
      .filter(({ data }) => data.baseType === 'MetricData')
      .flatMap(({ data }) => (data.baseData.metrics ?? []).map(({ name, value }) => [name, value]));
    expect(points).toEqual(
      expect.arrayContaining([
        ['holdfast.session.duration', 12.5],
        ['holdfast.io.read', 4096],
        ['holdfast.io.stored', 1024],
      ]),
    );
  });

  it('a burst of spans under a sampled parent is kept whole', () => {
    const spans = received.filter(({ data }) => data.baseData.name?.startsWith('step '));
    expect(spans).toHaveLength(50);
  });

  it('what a function logs arrives, redacted', () => {
    const messages = received.filter(({ data }) => data.baseType === 'MessageData');
    expect(messages.map(({ data }) => data.baseData.message)).toEqual([
      'retrying https://x/y?sv=1&sig=REDACTED',
    ]);
  });

  it('a span inside an invocation belongs to the trace of the host', () => {
    const [span] = received.filter(({ data }) => data.baseData.name === 'inside the invocation');
    expect(span?.tags).toMatchObject({
      'ai.operation.id': '4bf92f3577b34da6a3ce929d0e0e4736',
      'ai.operation.parentId': '00f067aa0ba902b7',
    });
  });

  it('nothing that arrived carries a secret', () => {
    const everything = JSON.stringify(received);
    expect(everything).not.toContain('c2VjcmV0LXNpZ25hdHVyZQ');
    expect(everything).not.toContain('bG9nZ2VkLXNpZ25hdHVyZQ');
    expect(everything).not.toContain('abcdefghijklmnopqrstuvwxyz');
    expect(everything).toContain('Bearer REDACTED');
  });
});
