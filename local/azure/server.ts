/** The HTTPS server: resource manager, Entra, Key Vault, storage accounts and the disks' data plane on one loopback port, told apart by path. */
import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { ArmApp } from './arm/app.ts';
import { entra, isEntraPath } from './entra.ts';
import { ArmError } from './errors.ts';
import { type Exchange, type Reply, serve, type Watch } from './http.ts';
import type { KeyVaults } from './keyVault.ts';
import type { Operations } from './operations.ts';
import type { StoragePlane } from './storage/index.ts';
import { TokenError, type Tokens } from './tokens.ts';

export type DataPlane = (request: IncomingMessage, response: ServerResponse) => Promise<boolean>;

export interface ServerParts extends Watch {
  app: ArmApp;
  tokens: Tokens;
  operations: Operations;
  keyVaults: KeyVaults;
  dataPlane: DataPlane;
  storage: StoragePlane;
  base: () => string;
}

const ARM_AUDIENCES = ['https://management.azure.com/', 'https://management.core.windows.net/'];

export async function startServer(
  parts: ServerParts,
  tls: { certPem: string; keyPem: string },
  port: number,
): Promise<Server> {
  const server = createServer({ cert: tls.certPem, key: tls.keyPem }, (request, response) => {
    handle(parts, request, response).catch((error: unknown) => {
      console.error(error);
      response.destroy();
    });
  });
  // Clients keep connections; a stop must not wait for them.
  server.keepAliveTimeout = 60_000;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  return server;
}

export const portOf = (server: { address(): AddressInfo | string | null }) =>
  (server.address() as AddressInfo).port;

async function handle(parts: ServerParts, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const path = (request.url ?? '/').replace(/\?.*$/s, '').replace(/^\/+/, '/');
  if (/^\/md-[^/]+\//i.test(path)) {
    return serve(parts, 'disk', request, response, async () => {
      if (await parts.dataPlane(request, response)) return undefined;
      return { status: 404, body: '' };
    });
  }
  if (/^\/(subscriptions|providers)(\/|$)/i.test(path))
    return serve(parts, 'arm', request, response, (exchange) => arm(parts, exchange));
  if (isEntraPath(path))
    return serve(parts, 'entra', request, response, async (exchange) =>
      entra(parts.tokens, parts.base(), exchange),
    );
  if (parts.keyVaults.owns(path))
    return serve(parts, 'keyVault', request, response, (exchange) => parts.keyVaults.answer(exchange));
  if (parts.storage.owns(path))
    return serve(parts, 'storage', request, response, async () => {
      await parts.storage.handle(request, response);
      return undefined;
    });
  return serve(parts, 'unknown', request, response, async () => ({
    status: 404,
    body: new ArmError(404, 'NotFound', `Nothing answers at '${path}'. See local/azure/README.md.`).body(),
  }));
}

async function arm(parts: ServerParts, exchange: Exchange): Promise<Reply> {
  const id = randomUUID();
  const common = {
    'x-ms-request-id': id,
    'x-ms-correlation-request-id': headerOf(exchange, 'x-ms-correlation-request-id') ?? id,
    'x-ms-routing-request-id': `LOCAL:${parts
      .now()
      .toISOString()
      .replaceAll(/[-:]|\.\d+/g, '')}:${id}`,
    'x-content-type-options': 'nosniff',
  };
  try {
    const caller = await authenticate(parts, exchange);
    exchange.noted.principal = caller.objectId;
    const body = exchange.method === 'GET' ? undefined : await exchange.readJson();
    parts.operations.settle();
    const { pathname, searchParams } = exchange.url;
    const reply = await parts.app.dispatch({
      method: exchange.method,
      path: decodeURI(pathname),
      query: searchParams,
      body,
      caller,
      ifNoneMatch: headerOf(exchange, 'if-none-match'),
      fault: exchange.fault?.effect,
    });
    return { ...reply, headers: { ...common, ...reply.headers } };
  } catch (error) {
    if (!(error instanceof ArmError)) throw error;
    return { status: error.status, headers: { ...common, ...error.headers }, body: error.body() };
  }
}

async function authenticate(parts: ServerParts, exchange: Exchange) {
  try {
    return await parts.tokens.verify(exchange.headers.authorization, ARM_AUDIENCES);
  } catch (error) {
    if (!(error instanceof TokenError)) throw error;
    const challenge = `Bearer authorization_uri="${parts.base()}/${parts.tokens.tenantId}", error="invalid_token", error_description="${error.message.replaceAll('"', "'")}"`;
    throw new ArmError(401, error.code, error.message, {
      headers: { 'WWW-Authenticate': challenge, 'x-ms-failure-cause': 'gateway' },
    });
  }
}

function headerOf(exchange: Exchange, name: string): string | undefined {
  const value = exchange.headers[name];
  return Array.isArray(value) ? value[0] : value;
}
