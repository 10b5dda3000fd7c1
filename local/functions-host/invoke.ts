import { randomUUID } from 'node:crypto';
import type { App, AppFunction } from './app.ts';
import type { HostClock } from './clock.ts';
import type { Log, LogLevel } from './log.ts';
import type { CoreInvocationContext, TypedData } from './typedData.ts';

export interface Invocation {
  /** By binding name: the trigger, and every Durable client. */
  inputs: Record<string, TypedData>;
  triggerMetadata?: Record<string, TypedData>;
  traceParent: string;
  instanceId?: string | undefined;
  /** Milliseconds; undefined for no limit. */
  timeout?: number | undefined;
}

export interface InvocationResult {
  returnValue: TypedData | null | undefined;
  /** What the function's handler returned, before conversion. */
  raw: unknown;
}

/** A function threw. The text is what the real host makes of it, and Durable reads. */
export class InvocationFailure extends Error {
  /** The message of what was thrown. */
  readonly reason: string;
  readonly trace: string;

  constructor(cause: unknown) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    const trace = cause instanceof Error ? (cause.stack ?? '') : '';
    super(`Result: Failure\nException: ${reason}\nStack: ${trace}`, { cause });
    // Where it was thrown is in the message; where it was wrapped tells nobody anything.
    this.stack = this.message;
    this.reason = reason;
    this.trace = trace;
  }
}

/**
 * Runs one function through the official programming model: its conversions, its context, its hooks. Rejects
 * with InvocationFailure, whatever went wrong. After a timeout the function may still be running: code that
 * runs in this process cannot be stopped from outside.
 */
export async function invoke(
  app: App,
  fn: AppFunction,
  invocation: Invocation,
  clock: HostClock,
  log: Log,
): Promise<InvocationResult> {
  const run = runInvocation(app, fn, invocation, log);
  if (invocation.timeout === undefined) return run;
  const { timeout } = invocation;
  let cancel: () => void = () => undefined;
  const late = new Promise<never>((_, reject) => {
    cancel = clock.setTimer(new Date(clock.now().getTime() + timeout), () => {
      const text = `Timeout value of ${timeSpan(timeout)} was exceeded by function: Functions.${fn.name}`;
      reject(new InvocationFailure(new Error(text)));
    });
  });
  return Promise.race([run, late]).finally(cancel);
}

async function runInvocation(
  app: App,
  fn: AppFunction,
  invocation: Invocation,
  log: Log,
): Promise<InvocationResult> {
  const invocationId = randomUUID();
  const { core, model } = app;
  let invocationContext: object | undefined;
  const coreContext: CoreInvocationContext = {
    invocationId,
    metadata: fn.metadata,
    request: {
      invocationId,
      functionId: fn.name,
      inputData: Object.entries(invocation.inputs).map(([name, data]) => ({ name, data })),
      triggerMetadata: invocation.triggerMetadata ?? {},
      traceContext: { traceParent: invocation.traceParent, traceState: '', attributes: {} },
    },
    log(level: LogLevel, category: string, text: string) {
      const line: Record<string, unknown> = { level, message: text, category, invocationContext };
      const write = (): void =>
        log({
          level: line['level'] as LogLevel,
          category: category === 'user' ? 'user' : 'system',
          message: String(line['message']),
          functionName: fn.name,
          invocationId,
          instanceId: invocation.instanceId,
        });
      // A hook may change the line, or send it elsewhere too; it must not lose it.
      core.runHooks('log', line).then(write, write);
    },
  };
  try {
    const invocationModel = model.getInvocationModel(coreContext);
    const { context, inputs } = await invocationModel.getArguments();
    invocationContext = context;
    const hookData = {};
    const before: Record<string, unknown> = { hookData, appHookData, invocationContext: context };
    before['inputs'] = inputs;
    before['functionCallback'] = fn.callback;
    coreContext.state = 'preInvocationHooks';
    await core.runHooks('preInvocation', before);
    coreContext.state = 'invocation';
    const after: Record<string, unknown> = { hookData, appHookData, invocationContext: context };
    after['inputs'] = before['inputs'];
    after['result'] = null;
    after['error'] = null;
    try {
      const args = before['inputs'] as unknown[];
      after['result'] = await invocationModel.invokeFunction(context, args, before['functionCallback']);
    } catch (error) {
      after['error'] = error ?? new Error('The function threw nothing.');
    }
    coreContext.state = 'postInvocationHooks';
    await core.runHooks('postInvocation', after);
    if (after['error']) throw after['error'];
    const response = await invocationModel.getResponse(context, after['result']);
    return { returnValue: response.returnValue, raw: after['result'] };
  } catch (error) {
    throw new InvocationFailure(error);
  }
}

/** Shared by the hooks of the app for as long as the process lives. */
const appHookData = {};

/** Runs the hooks that the app has for its start or its end. */
export async function runAppHooks(app: App, name: 'appStart' | 'appTerminate'): Promise<void> {
  await app.core.runHooks(name, { hookData: appHookData, appHookData });
}

function timeSpan(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  return parts.map((part) => String(part).padStart(2, '0')).join(':');
}
