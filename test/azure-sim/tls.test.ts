import { execFile } from 'node:child_process';
import { createPublicKey, X509Certificate } from 'node:crypto';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer, get } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ensureTls, type LoopbackTls } from '../../local/azure/tls.ts';

const run = promisify(execFile);
const DAY = 86_400_000;
let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'holdfast-tls-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function serving(tls: LoopbackTls, work: (port: number) => Promise<void>): Promise<void> {
  const server = createServer({ cert: tls.certPem, key: tls.keyPem }, (_, response) =>
    response.end('served'),
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    await work((server.address() as AddressInfo).port);
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

function statusOf(url: string, ca: string | undefined): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    get(url, { ...(ca !== undefined && { ca }), agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode);
    }).once('error', reject);
  });
}

test('a client that trusts the authority, and no other, reaches the server by each loopback name', async () => {
  const tls = await ensureTls(folder);
  const certificate = new X509Certificate(tls.certPem);
  expect([
    certificate.checkHost('localhost'),
    certificate.checkIP('127.0.0.1'),
    certificate.checkIP('::1'),
  ]).toEqual(['localhost', '127.0.0.1', '::1']);
  expect([certificate.ca, new X509Certificate(tls.caPem).ca]).toEqual([false, true]);
  await serving(tls, async (port) => {
    expect(await statusOf(`https://127.0.0.1:${port}/`, tls.caPem)).toBe(200);
    expect(await statusOf(`https://localhost:${port}/`, tls.caPem)).toBe(200);
    await expect(statusOf(`https://127.0.0.1:${port}/`, undefined)).rejects.toThrow(/certificate/);
  });
});

test('a process started with NODE_EXTRA_CA_CERTS trusts it, and so does curl where there is one', async () => {
  const tls = await ensureTls(folder);
  await serving(tls, async (port) => {
    const url = `https://127.0.0.1:${port}/`;
    const script = `console.log(await (await fetch('${url}')).text())`;
    const env = { ...process.env, NODE_EXTRA_CA_CERTS: tls.caFile };
    const { stdout } = await run(process.execPath, ['--input-type=module', '-e', script], { env });
    expect(stdout.trim()).toBe('served');
    const curl = await run('curl', ['-sS', '--noproxy', '*', '--cacert', tls.caFile, url]).catch(
      (error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT') return { stdout: 'served' };
        throw error;
      },
    );
    expect(curl.stdout).toBe('served');
  });
});

test('a second start uses the same files; only their owner may read the keys', async () => {
  const first = await ensureTls(folder);
  expect(await ensureTls(folder)).toEqual(first);
  expect(await readFile(first.certFile, 'utf8')).toBe(first.certPem);
  expect(((await stat(first.keyFile)).mode & 0o777).toString(8)).toBe('600');
  expect(((await stat(join(folder, 'ca.key.pem'))).mode & 0o777).toString(8)).toBe('600');
});

test('the server certificate is renewed in its last month under the same authority, the authority before it could end first', async () => {
  const now = new Date('2026-11-21T00:00:00Z');
  const after = (days: number) => new Date(now.getTime() + days * DAY);
  const first = await ensureTls(folder, now);
  expect(await ensureTls(folder, after(330))).toEqual(first);
  const renewed = await ensureTls(folder, after(340));
  expect(renewed.caPem).toBe(first.caPem);
  expect(renewed.certPem).not.toBe(first.certPem);
  expect(new X509Certificate(renewed.certPem).verify(createPublicKey(first.caPem))).toBe(true);
  const late = await ensureTls(folder, after(3600));
  expect(late.caPem).not.toBe(first.caPem);
  expect(new X509Certificate(late.certPem).verify(createPublicKey(late.caPem))).toBe(true);
});

test('a certificate without its key, or of another authority, is made anew', async () => {
  const first = await ensureTls(folder);
  await writeFile(first.keyFile, 'not a key');
  const second = await ensureTls(folder);
  expect(second.certPem).not.toBe(first.certPem);
  await rm(join(folder, 'ca.key.pem'));
  const third = await ensureTls(folder);
  expect(third.caPem).not.toBe(first.caPem);
  expect(new X509Certificate(third.certPem).verify(createPublicKey(third.caPem))).toBe(true);
});
