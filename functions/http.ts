import {
  app,
  type HttpMethod,
  type HttpRequest,
  type HttpResponseInit,
  type InvocationContext,
} from '@azure/functions';
import * as df from 'durable-functions';
import { z } from 'zod';
import { durableInstances } from '../activities/instances.ts';
import { type Installation, openInstallation } from '../lib/installation/index.ts';
import { type ErrorCode, HoldfastError, toFailure } from '../lib/model/index.ts';
import type { Instances } from '../lib/sessions/index.ts';
import { redact } from '../lib/telemetry/index.ts';

export const API_VERSION = '2026-11-01';

/** What a handler works with: the request, parsed as far as all have it in common, and the installation. */
export interface Call {
  readonly request: HttpRequest;
  readonly installation: Installation;
  readonly instances: Instances;
  readonly params: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
  /** Parses the body; `invalidInput` names the first field that is wrong. */
  readonly body: <T>(schema: z.ZodType<T>) => Promise<T>;
}

interface Route {
  readonly name: string;
  readonly methods: HttpMethod[];
  /** Below /api/. */
  readonly path: string;
  /** `function`: a function key. `worker`: no key, the handler checks the worker's own token. */
  readonly caller: 'function' | 'worker';
  readonly handle: (call: Call) => Promise<HttpResponseInit>;
}

const STATUS: Partial<Record<ErrorCode, number>> = {
  invalidInput: 400,
  unsupported: 400,
  diskUnsupported: 400,
  tagLimit: 400,
  unauthorized: 401,
  forbidden: 403,
  accessDenied: 403,
  notFound: 404,
  machineGone: 404,
  missingObject: 404,
  conflict: 409,
  alreadyExists: 409,
  previousRunning: 409,
  notOwner: 409,
  repositoryMismatch: 409,
  wrongPassword: 409,
  machineBusy: 409,
  locked: 423,
  preconditionFailed: 412,
  throttled: 429,
  notConfigured: 501,
  unavailable: 503,
  timeout: 504,
};

/** Registers one route. Answers errors in the Azure envelope; what nobody foresaw is 500, logged, and shows no inside. */
export function route({ name, methods, path, caller, handle }: Route): void {
  app.http(name, {
    methods,
    route: path,
    authLevel: caller === 'function' ? 'function' : 'anonymous',
    extraInputs: [df.input.durableClient()],
    handler: async (request, context) => {
      try {
        if (caller === 'function') checkVersion(request.query);
        return await handle(await callOf(request, context));
      } catch (error) {
        return errorAnswer(error, context);
      }
    },
  });
}

async function callOf(request: HttpRequest, context: InvocationContext): Promise<Call> {
  return {
    request,
    installation: await openInstallation(),
    instances: durableInstances(df.getClient(context)),
    params: request.params,
    query: request.query,
    body: async (schema) => parseBody(await request.text(), schema),
  };
}

function checkVersion(query: URLSearchParams): void {
  const version = query.get('api-version');
  if (version === API_VERSION) return;
  const problem =
    version === null ? 'The query parameter api-version is missing' : `api-version ${version} is not known`;
  throw new HoldfastError('invalidInput', `${problem}; use api-version=${API_VERSION}.`, {
    target: 'api-version',
  });
}

function parseBody<T>(text: string, schema: z.ZodType<T>): T {
  let json: unknown;
  try {
    json = JSON.parse(text === '' ? '{}' : text);
  } catch (cause) {
    throw new HoldfastError('invalidInput', 'The body is not JSON.', { cause });
  }
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const target = issue?.path.join('.') ?? '';
  throw new HoldfastError(
    'invalidInput',
    `${target === '' ? 'The body' : `"${target}"`} is not right: ${issue?.message}.`,
    {
      target,
    },
  );
}

function errorAnswer(error: unknown, context: InvocationContext): HttpResponseInit {
  const { code, message, target, retryable } = toFailure(error);
  const status = STATUS[code] ?? 500;
  if (status === 500) context.error(redact(error instanceof Error ? (error.stack ?? message) : message));
  const shown =
    code === 'internal'
      ? 'Something unforeseen happened; the log of this invocation says what.'
      : redact(message);
  return {
    status,
    headers: { 'x-ms-error-code': code, ...(retryable ? { 'Retry-After': '5' } : {}) },
    jsonBody: {
      error: { code, message: shown, ...(target === undefined ? {} : { target: redact(target) }) },
    },
  };
}

/** 202 with the session to watch: sessions are resources, so that nobody needs the host's management URLs. */
export function accepted(request: HttpRequest, session: { readonly id: string }): HttpResponseInit {
  const where = new URL(request.url);
  where.pathname = `/api/sessions/${session.id}`;
  where.search = `?api-version=${API_VERSION}`;
  return {
    status: 202,
    headers: { 'Operation-Location': where.href, 'Retry-After': '5' },
    jsonBody: session,
  };
}

export const ok = (body: unknown): HttpResponseInit => ({ status: 200, jsonBody: body });
