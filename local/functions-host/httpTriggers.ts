import type { AppFunction } from './app.ts';
import type { Handler, Reply, Request } from './http.ts';
import { type AuthLevel, isAllowed, type Keys } from './keys.ts';
import { describeError, type Log } from './log.ts';
import { compareRoutes, compileRoute, type Route } from './routes.ts';
import type { RpcCookie, RpcHttp, TypedData } from './typedData.ts';

export interface HttpTriggersOptions {
  functions: readonly AppFunction[];
  routePrefix: string;
  keys: Keys;
  log: Log;
  /** Runs the function; answers what it returned. */
  invoke(
    fn: AppFunction,
    trigger: TypedData,
    traceParent: string | undefined,
  ): Promise<TypedData | null | undefined>;
}

interface HttpFunction {
  fn: AppFunction;
  route: Route;
  methods: readonly string[];
  level: AuthLevel;
}

const levels: readonly string[] = ['anonymous', 'function', 'admin'] satisfies AuthLevel[];

/** Serves the HTTP triggers of an app. Throws when a route or a level is not supported, naming the function. */
export function httpTriggers(options: HttpTriggersOptions): Handler {
  const functions = options.functions.map((fn) => httpFunction(fn, options.routePrefix));
  functions.sort((a, b) => compareRoutes(a.route, b.route));
  return async (request) => {
    const method = request.message.method ?? 'GET';
    const allowed = new Set<string>();
    for (const candidate of functions) {
      const params = candidate.route.match(request.segments);
      if (!params) continue;
      if (candidate.methods.includes(method)) return serve(candidate, request, params, options);
      for (const other of candidate.methods) allowed.add(other);
    }
    return allowed.size > 0 ? { status: 405, headers: { allow: [...allowed].join(', ') } } : undefined;
  };
}

function httpFunction(fn: AppFunction, prefix: string): HttpFunction {
  const { route, methods, authLevel } = fn.trigger;
  const level = typeof authLevel === 'string' ? authLevel.toLowerCase() : 'anonymous';
  if (!levels.includes(level)) throw new Error(`Function '${fn.name}': unknown authLevel "${level}".`);
  try {
    return {
      fn,
      route: compileRoute(`${prefix}/${typeof route === 'string' && route !== '' ? route : fn.name}`),
      methods: (methods as string[] | undefined)?.map((method) => method.toUpperCase()) ?? ['GET', 'POST'],
      level: level as AuthLevel,
    };
  } catch (error) {
    throw new Error(`Function '${fn.name}': ${(error as Error).message}`, { cause: error });
  }
}

async function serve(
  { fn, level }: HttpFunction,
  request: Request,
  params: Record<string, string>,
  options: HttpTriggersOptions,
): Promise<Reply> {
  const { message, url } = request;
  if (!isAllowed(options.keys, level, message, url)) return { status: 401 };
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(message.headers)) {
    if (value !== undefined) headers[name] = Array.isArray(value) ? value.join(', ') : value;
  }
  const body = await request.body();
  const http: RpcHttp = {
    method: message.method ?? 'GET',
    url: url.href,
    headers,
    params,
    ...(body.length > 0 ? { body: { bytes: body } } : {}),
  };
  try {
    const returned = await options.invoke(fn, { http }, headers['traceparent']);
    return returned?.http ? toReply(returned.http) : { status: 204 };
  } catch (error) {
    const text = `The HTTP function '${fn.name}' failed: ${describeError(error)}`;
    options.log({ level: 'error', category: 'host', message: text, functionName: fn.name });
    return { status: 500 };
  }
}

function toReply(http: RpcHttp): Reply {
  const headers: Record<string, string | string[]> = { ...http.headers };
  // The length is that of the bytes we send.
  delete headers['content-length'];
  delete headers['transfer-encoding'];
  if (http.cookies?.length) headers['set-cookie'] = http.cookies.map(cookieText);
  const bytes = http.body?.bytes ?? http.body?.string ?? undefined;
  return { status: Number(http.statusCode ?? 200), headers, body: bytes };
}

function cookieText(cookie: RpcCookie): string {
  const parts = [`${cookie.name ?? ''}=${encodeURIComponent(cookie.value ?? '')}`];
  if (cookie.maxAge?.value !== undefined) parts.push(`Max-Age=${cookie.maxAge.value}`);
  if (cookie.domain?.value) parts.push(`Domain=${cookie.domain.value}`);
  if (cookie.path?.value) parts.push(`Path=${cookie.path.value}`);
  const expires = cookie.expires?.value?.seconds;
  if (expires !== undefined) parts.push(`Expires=${new Date(expires * 1000).toUTCString()}`);
  if (cookie.secure?.value) parts.push('Secure');
  if (cookie.httpOnly?.value) parts.push('HttpOnly');
  const sameSite = { none: undefined, lax: 'Lax', strict: 'Strict', explicitNone: 'None' }[
    cookie.sameSite ?? 'none'
  ];
  if (sameSite) parts.push(`SameSite=${sameSite}`);
  return parts.join('; ');
}
