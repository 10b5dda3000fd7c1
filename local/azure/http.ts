/** What every HTTP surface of the simulator shares: reading a body, writing an answer, carrying out an injected fault. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { ArmError } from './errors.ts';
import type { Fault, Faults } from './faults.ts';
import type { LoggedRequest, RequestLog, Surface } from './requestLog.ts';

export interface Reply {
  status: number;
  headers?: Record<string, string>;
  /** JSON; a string is sent as it is. */
  body?: unknown;
}

/** What a handler learns about its request, and may add for the log. */
export interface Exchange {
  method: string;
  url: URL;
  headers: IncomingMessage['headers'];
  readJson: () => Promise<unknown>;
  fault: Fault | undefined;
  /** Filled in by the handler for the log. */
  noted: { principal?: string };
}

const MAX_BODY = 4 * 1024 * 1024;

export async function readJsonBody(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_BODY)
      throw new ArmError(
        413,
        'RequestEntityTooLarge',
        `The request content is larger than ${MAX_BODY} bytes.`,
      );
    chunks.push(chunk);
  }
  if (size === 0) return undefined;
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8')) as unknown;
  } catch {
    throw new ArmError(
      400,
      'InvalidRequestContent',
      'The request content was invalid and could not be deserialized: it is not JSON.',
    );
  }
}

export function send(response: ServerResponse, reply: Reply): void {
  const headers: Record<string, string> = { 'Cache-Control': 'no-cache', ...reply.headers };
  let text = '';
  if (reply.body !== undefined) {
    text = typeof reply.body === 'string' ? reply.body : JSON.stringify(reply.body);
    headers['Content-Type'] ??= 'application/json; charset=utf-8';
  }
  headers['Content-Length'] = String(Buffer.byteLength(text));
  response.writeHead(reply.status, headers);
  response.end(text);
}

/** The answer to an error of a handler; an unexpected one is printed and becomes 500. */
export function errorReply(error: unknown): Reply {
  if (error instanceof ArmError) return { status: error.status, headers: error.headers, body: error.body() };
  console.error(error);
  const message = error instanceof Error ? error.message : String(error);
  return { status: 500, body: new ArmError(500, 'InternalServerError', message).body() };
}

export function codeOf(reply: Reply): string | undefined {
  const { error } = (reply.body ?? {}) as { error?: { code?: string } | string };
  return reply.status < 400 ? undefined : typeof error === 'string' ? error : error?.code;
}

/** The request's URL; runs of slashes are one, as ARM takes them (the SDK puts a slash before a scope that begins with one). */
function urlOf(path: string): URL {
  const url = new URL(`https://simulator${path.startsWith('/') ? '' : '/'}${path}`);
  url.pathname = url.pathname.replaceAll(/\/{2,}/g, '/');
  return url;
}

export interface Watch {
  faults: Faults;
  log: RequestLog;
  now: () => Date;
}

/**
 * Answers one request: meets the fault, asks `answer`, sends, logs. `answer` returning undefined means that it has answered by itself
 * (the disk data plane streams).
 */
export async function serve(
  watch: Watch,
  surface: Surface,
  request: IncomingMessage,
  response: ServerResponse,
  answer: (exchange: Exchange) => Promise<Reply | undefined>,
  more: Partial<LoggedRequest> = {},
): Promise<void> {
  const started = performance.now();
  const method = request.method ?? 'GET';
  const path = request.url ?? '/';
  const fault = surface === 'admin' ? undefined : watch.faults.meet(method, path);
  const exchange: Exchange = {
    method,
    url: urlOf(path),
    headers: request.headers,
    readJson: () => readJsonBody(request),
    fault,
    noted: {},
  };
  const write = (status: number, code?: string) => {
    watch.log.append({
      time: watch.now().toISOString(),
      surface,
      method,
      path,
      status,
      milliseconds: Math.round((performance.now() - started) * 10) / 10,
      ...(exchange.noted.principal === undefined ? {} : { principal: exchange.noted.principal }),
      ...(request.headers['user-agent'] === undefined ? {} : { userAgent: request.headers['user-agent'] }),
      ...(code === undefined ? {} : { code }),
      ...(fault === undefined ? {} : { fault: fault.id }),
      ...more,
    });
  };
  const drop = () => {
    write(0);
    request.socket.destroy();
  };
  const effect = fault?.effect;
  if (effect?.kind === 'hold' && effect.when === 'before') await watch.faults.held(fault?.id as string);
  if (effect?.kind === 'drop' && effect.when === 'before') return drop();
  if (effect?.kind === 'respond') {
    request.resume();
    const body =
      effect.body ??
      (effect.code === undefined
        ? undefined
        : { error: { code: effect.code, message: effect.message ?? effect.code } });
    const reply: Reply = {
      status: effect.status,
      ...(effect.headers ? { headers: effect.headers } : {}),
      ...(body === undefined ? {} : { body }),
    };
    write(reply.status, codeOf(reply));
    return send(response, reply);
  }
  const after = effect?.kind === 'hold' || effect?.kind === 'drop' ? effect : undefined;
  if (after?.when === 'after') intercept(watch, fault as Fault, response, after.kind);
  let reply: Reply | undefined;
  try {
    reply = await answer(exchange);
  } catch (error) {
    reply = errorReply(error);
  }
  if (!reply) {
    // Streamed: the answer is complete when the response is.
    if (response.writableFinished || response.destroyed) write(response.statusCode);
    else response.once('close', () => write(response.statusCode));
    return;
  }
  write(after?.kind === 'drop' ? 0 : reply.status, codeOf(reply));
  if (!response.headersSent && !response.destroyed) send(response, reply);
}

/** Holds back the end of the answer, or cuts the connection in its place: the service has done its work. */
function intercept(watch: Watch, fault: Fault, response: ServerResponse, kind: 'hold' | 'drop'): void {
  const end = response.end.bind(response) as (
    chunk?: unknown,
    encoding?: unknown,
    done?: unknown,
  ) => ServerResponse;
  if (kind === 'drop') {
    response.writeHead = () => response;
    response.write = () => true;
    response.end = () => {
      response.socket?.destroy();
      return response;
    };
    return;
  }
  response.end = (...args: unknown[]) => {
    void watch.faults.held(fault.id).then(() => end(...args));
    return response;
  };
}
