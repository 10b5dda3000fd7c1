import { type Delivery, type Engine, EngineError } from './engine.ts';
import { type Handler, json, type Reply, type Request } from './http.ts';
import { type RuntimeStatus, runtimeStatuses, terminalStatuses } from './runtimeStatus.ts';
import { statusDocument } from './status.ts';
import type { InstanceFilter, InstanceRow } from './store.ts';

export interface ManagementOptions {
  engine: Engine;
  /** The segments of the path before `instances` or `orchestrators`. */
  base: readonly string[];
  isAllowed(request: Request): boolean;
  /** The links for an instance, by name, as the caller of this request reaches them. */
  links(request: Request, instanceId: string): Record<string, string>;
}

/** The Durable HTTP API, for people under /runtime/webhooks/durabletask and for the client of the app. */
export function durableApi(options: ManagementOptions): Handler {
  const { base } = options;
  return async (request) => {
    const { segments } = request;
    if (!base.every((part, index) => segments[index]?.toLowerCase() === part.toLowerCase())) return undefined;
    if (!options.isAllowed(request)) return { status: 401 };
    try {
      return (await route(options, request, segments.slice(base.length))) ?? { status: 404 };
    } catch (error) {
      if (!(error instanceof EngineError)) throw error;
      return json(error.code === 'conflict' ? 409 : 400, { Message: error.message });
    }
  };
}

async function route(
  options: ManagementOptions,
  request: Request,
  path: string[],
): Promise<Reply | undefined> {
  const { engine } = options;
  const [collection, id, operation, name] = path;
  const method = request.message.method ?? 'GET';
  switch (collection?.toLowerCase()) {
    case 'orchestrators':
      if (method !== 'POST' || id === undefined || path.length > 3) return undefined;
      return startNew(options, request, id, operation);
    case 'instances':
      if (id === undefined) {
        if (method === 'GET') return list(engine, request);
        if (method !== 'DELETE') return undefined;
        return json(200, { instancesDeleted: engine.purgeBy(filterOf(request.url)) });
      }
      if (operation === undefined)
        return method === 'DELETE' ? purge(engine, id) : status(engine, request, id);
      if (method !== 'POST') return undefined;
      return operate(engine, request, id, operation.toLowerCase(), name);
    case 'entities':
      return json(501, { Message: 'Durable entities are not supported by the local Functions host.' });
    default:
      return undefined;
  }
}

/** Starts an instance; with `?timeout=` seconds it waits so long for the end, and answers the output. */
async function startNew(
  options: ManagementOptions,
  request: Request,
  name: string,
  instanceId: string | undefined,
): Promise<Reply> {
  const { engine } = options;
  const { url, message } = request;
  const input = await jsonBody(request);
  const traceParent = message.headers['traceparent'];
  const id = engine.startNew(name, input, {
    instanceId,
    version: url.searchParams.get('version') ?? undefined,
    traceParent: typeof traceParent === 'string' ? traceParent : undefined,
  });
  const timeout = Number(url.searchParams.get('timeout') ?? 0);
  if (timeout > 0) {
    const over = (row: InstanceRow | undefined): boolean => !row || terminalStatuses.includes(row.status);
    const ended = await engine.watch(id, over, AbortSignal.timeout(timeout * 1000)).catch(() => undefined);
    if (ended?.status === 'Completed') return json(200, JSON.parse(ended.output ?? 'null'));
    if (ended)
      return json(
        ended.status === 'Failed' ? 500 : 200,
        statusDocument(ended, {}, () => []),
      );
  }
  const links = options.links(request, id);
  return json(202, links, { location: links['statusQueryGetUri'] ?? '', 'retry-after': '10' });
}

function status(engine: Engine, { url }: Request, id: string): Reply {
  const row = engine.get(id);
  if (!row) return { status: 404 };
  const isOver = terminalStatuses.includes(row.status);
  const document = statusDocument(row, optionsOf(url), () => engine.history(row));
  if (!isOver) return json(202, document, { location: url.href, 'retry-after': '10' });
  const failed =
    row.status === 'Failed' && url.searchParams.get('returnInternalServerErrorOnFailure') === 'true';
  return json(failed ? 500 : 200, document);
}

function list(engine: Engine, { message, url }: Request): Reply {
  const top = Math.min(Number(url.searchParams.get('top') ?? 100) || 100, 1000);
  const token = message.headers['x-ms-continuation-token'];
  const rows = engine.list(filterOf(url), top + 1, typeof token === 'string' ? readToken(token) : undefined);
  const shown = rows.slice(0, top);
  const last = shown.at(-1);
  const options = optionsOf(url);
  const more = rows.length > top && last ? { 'x-ms-continuation-token': writeToken(last) } : {};
  return json(
    200,
    shown.map((row) => statusDocument(row, options, () => engine.history(row))),
    more,
  );
}

function writeToken({ createdAt, instanceId }: InstanceRow): string {
  return Buffer.from(JSON.stringify([createdAt, instanceId])).toString('base64url');
}

function readToken(token: string): { createdAt: number; instanceId: string } | undefined {
  try {
    const parts = JSON.parse(Buffer.from(token, 'base64url').toString()) as unknown[];
    return { createdAt: Number(parts[0]), instanceId: String(parts[1]) };
  } catch {
    throw new EngineError('badRequest', 'The continuation token is not one of this host.');
  }
}

function purge(engine: Engine, id: string): Reply {
  return engine.purge(id) ? json(200, { instancesDeleted: 1 }) : { status: 404 };
}

async function operate(
  engine: Engine,
  request: Request,
  id: string,
  operation: string,
  name: string | undefined,
): Promise<Reply | undefined> {
  const reason = request.url.searchParams.get('reason') ?? '';
  switch (operation) {
    case 'raiseevent':
      return name === undefined ? undefined : delivered(engine.raise(id, name, await jsonBody(request)));
    case 'terminate':
      return delivered(engine.terminate(id, reason));
    case 'suspend':
      return delivered(engine.suspend(id, reason));
    case 'resume':
      return delivered(engine.resume(id, reason));
    case 'rewind':
    case 'restart':
      if (!engine.get(id)) return { status: 404 };
      return json(501, {
        Message: `The local Functions host cannot ${operation} instances; start a new one with the same input.`,
      });
    default:
      return undefined;
  }
}

function delivered(delivery: Delivery): Reply {
  return { status: { accepted: 202, missing: 404, over: 410 }[delivery] };
}

async function jsonBody(request: Request): Promise<string> {
  const text = (await request.body()).toString('utf8').trim();
  if (text === '') return 'null';
  try {
    JSON.parse(text);
  } catch {
    throw new EngineError('badRequest', 'The body of the request is not JSON.');
  }
  return text;
}

function optionsOf(url: URL): { showInput: boolean; showHistory: boolean; showHistoryOutput: boolean } {
  const flag = (name: string, otherwise: boolean): boolean => {
    const value = url.searchParams.get(name);
    return value === null ? otherwise : value.toLowerCase() === 'true';
  };
  return {
    showInput: flag('showInput', true),
    showHistory: flag('showHistory', false),
    showHistoryOutput: flag('showHistoryOutput', false),
  };
}

function filterOf(url: URL): InstanceFilter {
  const date = (name: string): Date | undefined => {
    const text = url.searchParams.get(name);
    if (!text) return undefined;
    const value = new Date(text);
    if (Number.isNaN(value.getTime())) throw new EngineError('badRequest', `${name} is not a date.`);
    return value;
  };
  return {
    createdFrom: date('createdTimeFrom'),
    createdTo: date('createdTimeTo'),
    statuses: statusesOf(url.searchParams.get('runtimeStatus')),
    prefix: url.searchParams.get('instanceIdPrefix') ?? undefined,
  };
}

/** `Running,Failed`; ContinuedAsNew is Running here, and nothing is ever Canceled. */
function statusesOf(text: string | null): RuntimeStatus[] | undefined {
  if (!text) return undefined;
  const wanted = text
    .split(',')
    .map((part) => part.trim().toLowerCase().replace('continuedasnew', 'running'));
  const known = runtimeStatuses.filter((one) => wanted.includes(one.toLowerCase()));
  if (known.length === 0) throw new EngineError('badRequest', `runtimeStatus "${text}" names no status.`);
  return known;
}
