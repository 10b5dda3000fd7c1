/**
 * The resource manager's front: what every ARM request goes through before and after its handler.
 *
 * Order: route, api-version, subscription, throttling, role, resource group, locks, handler. Changing requests run one at a time (WriteLock), so a
 * handler may await the disk store between two looks at the state.
 */

import { ArmError, groupNotFound } from '../errors.ts';
import type { FaultEffect } from '../faults.ts';
import type { Limits } from '../limits.ts';
import type { WriteLock } from '../lock.ts';
import type { OperationOutcome, OperationRecord, OperationService, Operations } from '../operations.ts';
import type { Roles } from '../roles.ts';
import { Router } from '../router.ts';
import type { Caller } from '../tokens.ts';
import type { Locks } from './locks.ts';
import type { ResourceGroups } from './resourceGroupRecords.ts';
import type { Subscriptions } from './subscriptionRecords.ts';

export interface ArmReply {
  status: number;
  headers?: Record<string, string>;
  /** JSON; no content when absent. */
  body?: unknown;
}

export interface ArmRequest {
  method: string;
  /** As the client wrote it, without the query. */
  path: string;
  params: Record<string, string>;
  query: URLSearchParams;
  apiVersion: string;
  /** Parsed JSON, or undefined when there was no body. */
  body: unknown;
  caller: Caller;
  /** `If-None-Match`, for creations that must not overwrite. */
  ifNoneMatch?: string | undefined;
  /** An injected fault for the operation that this request starts. */
  fault?: FaultEffect | undefined;
}

export type ComputeThrottle = Parameters<Limits['takeCompute']>[1];

interface RouteOptions {
  /** The action that the caller needs; none for what every caller of the tenant may ask. */
  action?: string;
  /** The scope of the check; default: the path, without the last segment for a POST. */
  scope?: (path: string) => string;
  throttle?: ComputeThrottle;
  /** A list: callers with a role below the scope get what they may read instead of 403. */
  list?: boolean;
}

interface ArmRoute extends RouteOptions {
  handle: (request: ArmRequest) => Promise<ArmReply> | ArmReply;
}

/** What the routes of all resource providers share. */
export interface ArmCore {
  roles: Roles;
  limits: Limits;
  lock: WriteLock;
  operations: Operations;
  subscriptions: Subscriptions;
  groups: ResourceGroups;
  locks: Locks;
  /** `https://127.0.0.1:port`, without a slash. */
  base: () => string;
}

export class ArmApp {
  readonly core: ArmCore;
  private readonly router = new Router<ArmRoute>();

  constructor(core: ArmCore) {
    this.core = core;
  }

  route(method: string, pattern: string, options: RouteOptions, handle: ArmRoute['handle']): void {
    this.router.add(method, pattern, { ...options, handle });
  }

  async dispatch(request: Omit<ArmRequest, 'params' | 'apiVersion'>): Promise<ArmReply> {
    const { core } = this;
    const found = this.router.find(request.method, request.path);
    if (!('handler' in found)) throw noRoute(request, found.methods);
    const { handler: route, params } = found;
    const apiVersion = request.query.get('api-version');
    if (!apiVersion) {
      throw new ArmError(
        400,
        'MissingApiVersionParameter',
        'The api-version query parameter (?api-version=) is required for all requests.',
        {
          headers: { 'x-ms-failure-cause': 'gateway' },
        },
      );
    }
    const full: ArmRequest = { ...request, params, apiVersion };
    let headers: Record<string, string> = {};
    if (params.s !== undefined) {
      core.subscriptions.require(params.s);
      headers = core.limits.takeSubscription(params.s, request.caller.objectId, request.method);
    }
    if (route.action !== undefined) this.authorise(route, full);
    if (params.g !== undefined && !core.groups.get(params.s as string, params.g))
      throw groupNotFound(params.g);
    core.locks.check(request.method, request.path);
    if (route.throttle && params.s !== undefined)
      headers = { ...headers, ...core.limits.takeCompute(params.s, route.throttle) };
    const reads = request.method === 'GET' || request.method === 'HEAD';
    const reply = await (reads ? route.handle(full) : core.lock.run(() => route.handle(full)));
    return { ...reply, headers: { ...headers, ...reply.headers } };
  }

  /** The items that the caller may read, in ARM's list envelope. */
  listReply<T extends { id: string }>(request: ArmRequest, action: string, items: T[]): ArmReply {
    const { roles } = this.core;
    const all = roles.allows(request.caller.objectId, action, request.path.replace(/\/providers\/.*$/i, ''));
    return {
      status: 200,
      body: {
        value: all ? items : items.filter((item) => roles.allows(request.caller.objectId, action, item.id)),
      },
    };
  }

  /**
   * Starts the operation of this request and answers as its service does: disks 202 with Location and Azure-AsyncOperation, machines 201
   * (create), 200 (update) or 202, network 201/200/202.
   */
  startOperation(
    request: ArmRequest,
    order: {
      service: OperationService;
      location: string;
      target: string;
      finisher: string;
      outcome?: OperationOutcome;
    },
    reply: { status: number; body?: unknown; monitor: boolean },
  ): { record: OperationRecord; reply: ArmReply } {
    const record = this.core.operations.start({
      ...order,
      subscription: request.params.s as string,
      apiVersion: request.apiVersion,
      owner: request.caller.objectId,
      fault: request.fault,
    });
    const urls = this.core.operations.urls(record, this.core.base());
    const headers: Record<string, string> = {
      'x-ms-request-id': record.id,
      ...this.core.operations.retryAfter(record),
    };
    if (reply.monitor) headers.Location = urls.monitor;
    if (order.service !== 'resources') headers['Azure-AsyncOperation'] = urls.status;
    if (order.service === 'compute') headers['Azure-AsyncNotification'] = 'Enabled';
    return {
      record,
      reply: { status: reply.status, headers, ...(reply.body === undefined ? {} : { body: reply.body }) },
    };
  }

  private authorise(route: ArmRoute, request: ArmRequest): void {
    const { roles } = this.core;
    const plain = request.method === 'POST' ? request.path.replace(/\/[^/]+\/?$/, '') : request.path;
    let scope = route.scope?.(request.path) ?? plain;
    if (route.list) {
      scope = request.path.replace(/\/providers\/.*$/i, '');
      if (roles.hasFootIn(request.caller.objectId, scope)) return;
    }
    roles.require(request.caller, route.action as string, scope);
  }
}

function noRoute(request: { method: string; path: string }, methods: string[]): ArmError {
  if (methods.length > 0) {
    return new ArmError(
      405,
      'MethodNotAllowed',
      `The simulator does not answer ${request.method} at this path; it answers ${[...new Set(methods)].join(', ')}.`,
      {
        headers: { Allow: [...new Set(methods)].join(', ') },
      },
    );
  }
  return new ArmError(
    404,
    'InvalidResourceType',
    `The simulator has no resource at '${request.path}'. See local/azure/README.md for what it answers.`,
  );
}
