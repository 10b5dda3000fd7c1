/** Servers on loopback that stand for the app and for a VM's metadata service. */
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer as createHttp, type IncomingMessage, type Server } from 'node:http';
import { createServer as createHttps } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ensureTls, type LoopbackTls } from '../../local/azure/tls.ts';

export interface Call {
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}
export interface Reply {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body: string | Buffer;
}
export type Answerer = (call: Call) => Reply | Promise<Reply>;

async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

function serve(answer: Answerer) {
  return (
    request: IncomingMessage,
    response: {
      writeHead(status: number, headers: Readonly<Record<string, string>>): unknown;
      end(body: string | Buffer): unknown;
    },
  ) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const call = {
        path: request.url ?? '',
        headers: request.headers,
        body: Buffer.concat(chunks).toString(),
      };
      void Promise.resolve(answer(call)).then(({ status = 200, headers = {}, body }) => {
        response.writeHead(status, headers);
        return response.end(body);
      });
    });
  };
}

export interface Loopback {
  readonly dir: string;
  readonly tls: LoopbackTls;
  readonly appUrl: string;
  /** Where the metadata service answers tokens `token-1`, `token-2`, ... */
  readonly imdsUrl: string;
  readonly tokensAsked: string[];
  stop(): Promise<void>;
}

export async function startLoopback(answer: Answerer): Promise<Loopback> {
  const dir = await mkdtemp(join(tmpdir(), 'holdfast-worker-'));
  const tls = await ensureTls(join(dir, 'tls'));
  const tokensAsked: string[] = [];
  const app = createHttps({ cert: tls.certPem, key: tls.keyPem }, serve(answer));
  const imds = createHttp(
    serve(({ path, headers }) => {
      if (headers.metadata !== 'true' && headers.metadata !== 'True') return { status: 400, body: '{}' };
      tokensAsked.push(path);
      const seconds = Math.floor(Date.now() / 1000) + 86_400;
      return {
        body: JSON.stringify({
          access_token: 'token-of-the-vm',
          client_id: 'c',
          expires_in: '86400',
          expires_on: String(seconds),
          resource: 'api://holdfast',
          token_type: 'Bearer',
        }),
      };
    }),
  );
  const [appPort, imdsPort] = [await listen(app), await listen(imds)];
  return {
    dir,
    tls,
    tokensAsked,
    appUrl: `https://127.0.0.1:${appPort}`,
    imdsUrl: `http://127.0.0.1:${imdsPort}`,
    stop: async () => {
      for (const server of [app, imds]) {
        server.closeAllConnections();
        await new Promise((resolve) => server.close(resolve));
      }
      await rm(dir, { recursive: true, force: true });
    },
  };
}
