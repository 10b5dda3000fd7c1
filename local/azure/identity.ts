/** The App Service identity endpoint: plain HTTP on loopback, one secret header per registered app. */
import { randomBytes, timingSafeEqual } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import { type Exchange, type Reply, serve, type Watch } from './http.ts';
import type { Collection, StateStore } from './state.ts';
import { type IssuedToken, TokenError, type Tokens } from './tokens.ts';

/** An app with managed identities. `header` is the IDENTITY_HEADER of its processes. */
export interface AppIdentity {
  name: string;
  header: string;
  systemAssigned?: string;
  userAssigned: string[];
}

export class AppIdentities {
  private readonly records: Collection<AppIdentity>;
  private readonly tokens: Tokens;

  constructor(state: StateStore, tokens: Tokens) {
    this.records = state.collection('appIdentities');
    this.tokens = tokens;
  }

  /** Registers an app, or gives its identities anew; the header of an app never changes. */
  register(name: string, identities: { systemAssigned?: string; userAssigned?: string[] }): AppIdentity {
    const header = this.records.get(name)?.header ?? randomBytes(24).toString('base64url');
    const { systemAssigned, userAssigned = [] } = identities;
    return this.records.set(name, {
      name,
      header,
      userAssigned,
      ...(systemAssigned === undefined ? {} : { systemAssigned }),
    });
  }

  get(name: string): AppIdentity | undefined {
    return this.records.get(name);
  }

  list(): AppIdentity[] {
    return this.records.values();
  }

  async answer(exchange: Exchange): Promise<Reply> {
    if (exchange.method !== 'GET' || exchange.url.pathname.replace(/\/+$/, '') !== '/msi/token')
      return { status: 404, body: '' };
    const header = String(exchange.headers['x-identity-header'] ?? '');
    const app = this.records.values().find((known) => sameSecret(known.header, header));
    if (!app)
      return {
        status: 401,
        body: { statusCode: 401, message: 'The X-IDENTITY-HEADER is missing or wrong.' },
      };
    const query = exchange.url.searchParams;
    if (query.get('api-version') !== '2019-08-01')
      return { status: 400, body: { statusCode: 400, message: 'Unsupported api-version; use 2019-08-01.' } };
    const chosen = this.choose(app, query);
    if (chosen === undefined)
      return {
        status: 400,
        body: { statusCode: 400, message: 'No managed identity was found for the given parameters.' },
      };
    exchange.noted.principal = chosen;
    return tokenReply(this.tokens, chosen, query.get('resource'), (issued, clientId) => ({
      access_token: issued.token,
      client_id: clientId,
      expires_on: String(issued.expiresOn),
      not_before: String(issued.notBefore),
      resource: issued.resource,
      token_type: 'Bearer',
    }));
  }

  private choose(app: AppIdentity, query: URLSearchParams): string | undefined {
    const asked =
      query.get('client_id') ??
      query.get('principal_id') ??
      query.get('object_id') ??
      query.get('mi_res_id') ??
      query.get('msi_res_id');
    if (asked === null) return app.systemAssigned;
    return app.userAssigned.find((objectId) => {
      const principal = this.tokens.principals.get(objectId);
      return [principal?.clientId, principal?.objectId, principal?.resourceId].some(
        (known) => known?.toLowerCase() === asked.toLowerCase(),
      );
    });
  }
}

function sameSecret(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)];
  return left.length === right.length && timingSafeEqual(left, right);
}

/** A token answer, or 400 in OAuth's words. */
export async function tokenReply(
  tokens: Tokens,
  objectId: string,
  resource: string | null,
  body: (issued: IssuedToken, clientId: string) => object,
): Promise<Reply> {
  if (!resource)
    return {
      status: 400,
      body: { error: 'invalid_request', error_description: "Required query variable 'resource' is missing" },
    };
  try {
    const issued = await tokens.issue(objectId, resource);
    return { status: 200, body: body(issued, tokens.principals.get(objectId)?.clientId ?? '') };
  } catch (error) {
    if (!(error instanceof TokenError)) throw error;
    return { status: 400, body: { error: error.code, error_description: error.message } };
  }
}

/** Starts the endpoint; answers the server. */
export async function startIdentityEndpoint(
  watch: Watch,
  apps: AppIdentities,
  port: number,
): Promise<Server> {
  const server = createServer((request, response) => {
    serve(watch, 'identity', request, response, (exchange) => apps.answer(exchange)).catch(
      (error: unknown) => {
        console.error(error);
        response.destroy();
      },
    );
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  return server;
}
