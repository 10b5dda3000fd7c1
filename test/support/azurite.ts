/**
 * A real Azurite for one test file: HTTPS on free loopback ports, OAuth, in memory, the two accounts of a local run. Started as a child
 * process and stopped gently (SIGTERM), so that a test never leaves one behind.
 *
 *   const azurite = await startAzurite();           // in beforeAll
 *   new BlobServiceClient(azurite.blobUrl('holdfastrepo'), azurite.credential());
 *   await azurite.stop();                           // in afterAll
 *
 * The certificate's authority is trusted by this process from then on: SDKs need no further setting.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import type { TokenCredential } from '@azure/core-auth';
import { ensureTls } from '../../local/azure/tls.ts';

export type AzuriteAccount = 'holdfastapp' | 'holdfastrepo';

export interface Azurite {
  /** `https://127.0.0.1:PORT/<account>`, without a slash at the end. */
  blobUrl(account: AzuriteAccount): string;
  queueUrl(account: AzuriteAccount): string;
  tableUrl(account: AzuriteAccount): string;
  /** A token that Azurite accepts for blob, queue and table (it checks audience, issuer and times, not the signature). */
  credential(): TokenCredential;
  /** The authority's certificate as PEM and as a file, for child processes (NODE_EXTRA_CA_CERTS). */
  readonly caPem: string;
  readonly caFile: string;
  stop(): Promise<void>;
}

const START_MS = 30_000;
const STOP_MS = 5_000;

export async function startAzurite(): Promise<Azurite> {
  const dir = await mkdtemp(join(tmpdir(), 'holdfast-azurite-'));
  const tls = await ensureTls(join(dir, 'tls'));
  trustAuthority(tls.caPem);
  const main = createRequire(import.meta.url).resolve('azurite/dist/src/azurite.js');
  const key = () => randomBytes(64).toString('base64');
  const child = spawn(
    process.execPath,
    [
      main,
      ['--blobHost', '127.0.0.1', '--queueHost', '127.0.0.1', '--tableHost', '127.0.0.1'],
      ['--blobPort', '0', '--queuePort', '0', '--tablePort', '0'],
      ['--cert', tls.certFile, '--key', tls.keyFile, '--oauth', 'basic'],
      ['--skipApiVersionCheck', '--disableTelemetry', '--inMemoryPersistence', '--silent'],
    ].flat(),
    {
      cwd: dir,
      env: {
        PATH: process.env.PATH,
        AZURITE_ACCOUNTS: `holdfastapp:${key()};holdfastrepo:${key()}`,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  // A test run that ends without its hooks takes its Azurite along.
  const onExit = () => child.kill('SIGTERM');
  process.once('exit', onExit);
  child.once('exit', () => process.off('exit', onExit));
  const stop = () => stopChild(child, dir);
  try {
    const bases = await listening(child);
    return {
      blobUrl: (account) => `${bases.Blob}/${account}`,
      queueUrl: (account) => `${bases.Queue}/${account}`,
      tableUrl: (account) => `${bases.Table}/${account}`,
      credential: () => fakeCredential(),
      caPem: tls.caPem,
      caFile: tls.caFile,
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Makes this process trust `caPem` in addition to what it trusted before (the file form is read at process start only). */
export function trustAuthority(caPem: string): void {
  setDefaultCACertificates([...getCACertificates('default'), caPem]);
}

/** A credential whose token looks like Entra's for the scope's audience. Nobody who checks signatures accepts it. */
export function fakeCredential(oid = '00000000-0000-0000-0000-00000000a991'): TokenCredential {
  return {
    getToken: (scopes) => {
      const scope = [scopes].flat()[0] ?? '';
      const now = Math.floor(Date.now() / 1000);
      const claims = {
        aud: scope.replace(/\/\.default$/, ''),
        iss: 'https://sts.windows.net/00000000-0000-0000-0000-00000000feed/',
        tid: '00000000-0000-0000-0000-00000000feed',
        oid,
        sub: oid,
        iat: now - 300,
        nbf: now - 300,
        exp: now + 3600,
        ver: '1.0',
      };
      const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
      const token = `${part({ typ: 'JWT', alg: 'RS256' })}.${part(claims)}.${part('unsigned')}`;
      return Promise.resolve({ token, expiresOnTimestamp: (now + 3600) * 1000 });
    },
  };
}

type Service = 'Blob' | 'Queue' | 'Table';

/** Resolves with the three base URLs once Azurite says that all of them listen. */
function listening(child: ChildProcess): Promise<Record<Service, string>> {
  const found: Partial<Record<Service, string>> = {};
  const said: string[] = [];
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`Azurite did not start:\n${said.join('\n')}`)), START_MS);
    const take = (line: string) => {
      said.push(line);
      const [, service, url] =
        /Azurite (Blob|Queue|Table) service is successfully listening at (\S+)/.exec(line) ?? [];
      if (!service || !url) return;
      found[service as Service] = url.replace(/\/$/, '');
      if (found.Blob && found.Queue && found.Table) {
        clearTimeout(timer);
        resolve(found as Record<Service, string>);
      }
    };
    for (const stream of [child.stdout, child.stderr]) if (stream) createInterface(stream).on('line', take);
    child.once('error', reject);
    child.once('exit', (code) => {
      clearTimeout(timer);
      reject(new Error(`Azurite ended (${code}):\n${said.join('\n')}`));
    });
  });
}

async function stopChild(child: ChildProcess, dir: string): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) {
    const ended = once(child, 'exit');
    child.kill('SIGTERM');
    // Azurite waits for idle keep-alive connections of its clients; what it holds is in memory only.
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
    await ended;
    clearTimeout(timer);
  }
  await rm(dir, { recursive: true, force: true });
}
