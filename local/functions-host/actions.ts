import { z } from 'zod';
import type { FailureDetails } from './history.ts';

/**
 * What the official `durable-functions` library answers after a replay: every action since the start of the
 * execution, one per yield, and how the orchestrator ended, if it has. This file parses that answer (replay
 * schemas V2 and V3) and gives the actions readable names.
 */
export interface RetryPolicy {
  firstRetryIntervalInMilliseconds: number;
  maxNumberOfAttempts: number;
  backoffCoefficient?: number | undefined;
  maxRetryIntervalInMilliseconds?: number | undefined;
  retryTimeoutInMilliseconds?: number | undefined;
}

export type Action =
  | { kind: 'activity'; name: string; input: unknown; retry?: RetryPolicy | undefined }
  | {
      kind: 'child';
      name: string;
      input: unknown;
      instanceId?: string | undefined;
      version?: string | undefined;
      retry?: RetryPolicy | undefined;
    }
  | { kind: 'continueAsNew'; input: unknown }
  | { kind: 'timer'; fireAt: Date; isCanceled: boolean }
  | { kind: 'event'; name: string }
  | { kind: 'any' | 'all'; actions: Action[] }
  | { kind: 'unsupported'; what: string };

export interface OrchestratorState {
  isDone: boolean;
  actions: Action[];
  output: unknown;
  customStatus: unknown;
  error?: string | undefined;
  failureDetails?: FailureDetails | undefined;
}

const retryPolicy = z.object({
  firstRetryIntervalInMilliseconds: z.number(),
  maxNumberOfAttempts: z.number(),
  backoffCoefficient: z.number().optional(),
  maxRetryIntervalInMilliseconds: z.number().optional(),
  retryTimeoutInMilliseconds: z.number().optional(),
});
const wireAction = z.object({
  actionType: z.number(),
  functionName: z.string().optional(),
  input: z.unknown().optional(),
  instanceId: z.string().optional(),
  version: z.string().optional(),
  retryOptions: retryPolicy.optional(),
  fireAt: z.coerce.date().optional(),
  isCanceled: z.boolean().optional(),
  externalEventName: z.string().optional(),
  compoundActions: z.array(z.unknown()).optional(),
});
const wireState = z.object({
  isDone: z.boolean(),
  actions: z.array(z.array(z.unknown())).length(1),
  output: z.unknown().optional(),
  customStatus: z.unknown().optional(),
  error: z.string().optional(),
  failureDetails: z.unknown().optional(),
  schemaVersion: z.literal([1, 2]),
});

/** What the host refuses, by the number it has on the wire. */
const unsupported = new Map([
  [7, 'context.df.callEntity'],
  [8, 'context.df.callHttp'],
  [9, 'context.df.signalEntity'],
  [10, 'a scheduled context.df.signalEntity'],
  [13, 'context.df.lock'],
  [14, 'the release of a context.df.lock'],
]);

/** Parses the answer of a replay. Throws when it is not one: the library is newer than this host knows. */
export function parseState(json: unknown): OrchestratorState {
  const state = wireState.parse(json);
  const failureDetails = state.failureDetails as FailureDetails | undefined;
  return {
    isDone: state.isDone,
    actions: (state.actions[0] ?? []).map(parseAction),
    output: state.output,
    customStatus: state.customStatus,
    ...(state.error === undefined ? {} : { error: state.error }),
    ...(failureDetails ? { failureDetails } : {}),
  };
}

function parseAction(json: unknown): Action {
  const wire = wireAction.parse(json);
  const name = wire.functionName ?? '';
  switch (wire.actionType) {
    case 0:
    case 1:
      return { kind: 'activity', name, input: wire.input, retry: wire.retryOptions };
    case 2:
    case 3: {
      const { input, instanceId, version, retryOptions } = wire;
      return { kind: 'child', name, input, instanceId, version, retry: retryOptions };
    }
    case 4:
      return { kind: 'continueAsNew', input: wire.input };
    case 5:
      return { kind: 'timer', fireAt: wire.fireAt ?? new Date(0), isCanceled: wire.isCanceled ?? false };
    case 6:
      return { kind: 'event', name: wire.externalEventName ?? '' };
    case 11:
    case 12: {
      const actions = (wire.compoundActions ?? []).map(parseAction);
      return { kind: wire.actionType === 11 ? 'any' : 'all', actions };
    }
    default:
      return { kind: 'unsupported', what: unsupported.get(wire.actionType) ?? `action ${wire.actionType}` };
  }
}
