import { HttpRequest, type HttpResponseInit, InvocationContext } from '@azure/functions';
import { vi } from 'vitest';
import type { Installation } from '../../lib/installation/index.ts';
import type { Instances } from '../../lib/sessions/index.ts';

type Handler = (request: HttpRequest, context: InvocationContext) => Promise<HttpResponseInit>;
interface Registered {
  readonly methods: readonly string[];
  readonly route: string;
  readonly handler: Handler;
}

export interface ApiAnswer {
  readonly status: number;
  /** JSON; null when the answer has none. */
  readonly body: unknown;
  readonly headers: Readonly<Record<string, string>>;
  /** Of an answer that is a document. */
  readonly text?: string;
}

/** A lab, or an installation of the test's own. Read at each call. */
interface World {
  readonly installation: Installation;
  readonly instances: Instances;
}

/**
 * The HTTP API in this process: the real handlers of `files` (names below functions/) on an installation, without a host.
 * What a host does (keys, real HTTP) is for test/system.
 */
export async function openApi(world: World, files: readonly string[]) {
  const routes: Registered[] = [];
  vi.doMock('@azure/functions', async (original) => ({
    ...(await original<object>()),
    app: { http: (_name: string, options: Registered) => routes.push(options), timer: () => undefined },
  }));
  vi.doMock('durable-functions', () => ({
    input: { durableClient: () => ({}) },
    getClient: () => ({}),
  }));
  vi.doMock('../../activities/instances.ts', () => ({ durableInstances: () => world.instances }));
  vi.doMock('../../lib/installation/index.ts', async (original) => ({
    ...(await original<object>()),
    openInstallation: () => Promise.resolve(world.installation),
  }));
  for (const file of files) await import(`../../functions/${file}.ts`);

  /** One call, as `METHOD path?query`; the version is added. */
  return async function call(
    line: string,
    body?: unknown,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<ApiAnswer> {
    const [method = '', target = ''] = line.split(' ');
    const url = new URL(`https://app.example/api/${target}`);
    if (!url.searchParams.has('api-version')) url.searchParams.set('api-version', '2026-11-01');
    const path = url.pathname.slice('/api/'.length);
    const found = routes
      .filter(({ methods }) => methods.includes(method))
      .map((route) => ({ route, params: match(route.route, path) }))
      .find(({ params }) => params !== null);
    if (!found?.params) return { status: 404, body: null, headers: {} };
    const request = new HttpRequest({
      method,
      url: url.href,
      params: found.params,
      headers: { ...headers },
      ...(body === undefined
        ? {}
        : { body: { string: typeof body === 'string' ? body : JSON.stringify(body) } }),
    });
    const answer = await found.route.handler(request, new InvocationContext());
    const { status = 200, jsonBody, body: text } = answer;
    // As it goes over the wire.
    return {
      status,
      body: jsonBody === undefined ? null : JSON.parse(JSON.stringify(jsonBody)),
      headers: (answer.headers ?? {}) as Record<string, string>,
      ...(typeof text === 'string' ? { text } : {}),
    };
  };
}

function match(template: string, path: string): Record<string, string> | null {
  const wanted = template.split('/');
  const given = path.split('/').map(decodeURIComponent);
  if (wanted.length !== given.length) return null;
  const params: Record<string, string> = {};
  for (const [i, part] of wanted.entries()) {
    const name = /^\{(\w+)\}$/.exec(part)?.[1];
    if (name !== undefined) params[name] = given[i] ?? '';
    else if (part !== given[i]) return null;
  }
  return params;
}
