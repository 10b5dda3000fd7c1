/** As much of a Functions host as telemetry meets: `@azure/functions-core` with hooks, and an invocation. */
import Module, { createRequire } from 'node:module';

type Hook = (context: Record<string, unknown>) => void;
type Load = (request: string, ...rest: unknown[]) => unknown;

/** Makes `require('@azure/functions-core')` answer, for the rest of this process. */
export function functionsHost() {
  const hooks = new Map<string, Hook[]>();
  const core = {
    version: '4.0.0',
    hostVersion: '4.1000.0',
    setProgrammingModel() {},
    registerHook(name: string, callback: Hook) {
      hooks.set(name, [...(hooks.get(name) ?? []), callback]);
      return { dispose() {} };
    },
    registerFunction() {},
    log() {},
  };
  const loader = Module as unknown as { _load: Load };
  const load = loader._load;
  loader._load = (request, ...rest) => (request === '@azure/functions-core' ? core : load(request, ...rest));

  const call = (name: string, context: Record<string, unknown>) => {
    const registered = hooks.get(name) ?? [];
    if (registered.length === 0) throw new Error(`Nobody registered the hook ${name}.`);
    for (const hook of registered) hook(context);
  };

  return {
    log(level: string, message: string) {
      call('log', { level, message, category: 'user', hookData: {}, appHookData: {} });
    },
    /** Runs `body` as an invocation that the host's trace `traceParent` started. */
    invoke(traceParent: string, body: () => void) {
      const { InvocationContext } = createRequire(import.meta.url)('@azure/functions') as {
        InvocationContext: new (init: object) => object;
      };
      const invocationContext = new InvocationContext({
        functionName: 'test',
        invocationId: '1',
        traceContext: { traceParent, traceState: '' },
      });
      const context = {
        invocationContext,
        functionCallback: body,
        inputs: [],
        hookData: {},
        appHookData: {},
      };
      call('preInvocation', context);
      context.functionCallback();
    },
  };
}
