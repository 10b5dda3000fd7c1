import { app, type HttpRequest, type InvocationContext } from '@azure/functions';
import * as df from 'durable-functions';

/** An app with one of everything that the host runs. What its activities do is counted in `calls`. */
export const calls: string[] = [];
const failures = new Map<string, number>();

type Orchestrator = df.OrchestrationHandler;

df.app.activity('echo', {
  handler: (input: unknown) => {
    calls.push(`echo ${JSON.stringify(input)}`);
    return input;
  },
});

/** Fails `times` times for each `key`, then answers how often it was called. */
df.app.activity('flaky', {
  handler: ({ key, times }: { key: string; times: number }) => {
    const count = (failures.get(key) ?? 0) + 1;
    failures.set(key, count);
    calls.push(`flaky ${key} ${count}`);
    if (count <= times) throw new Error(`${key} failed ${count}`);
    return count;
  },
});

export const gates = new Map<string, { started: () => void; release: Promise<void> }>();
df.app.activity('gated', {
  handler: async (key: string) => {
    const gate = gates.get(key);
    gate?.started();
    await gate?.release;
    return `${key} passed`;
  },
});

const sequence: Orchestrator = function* (context) {
  const input = context.df.getInput();
  const first: unknown = yield context.df.callActivity('echo', input);
  const second: unknown = yield context.df.callActivity('echo', [first, 'text']);
  return { first, second, version: context.df.version ?? null };
};
df.app.orchestration('sequence', sequence);

df.app.orchestration('fanOut', function* (context) {
  const count = context.df.getInput<number>();
  const tasks = Array.from({ length: count }, (_, i) => context.df.callActivity('echo', i));
  const results: number[] = yield context.df.Task.all(tasks);
  return results.reduce((sum, value) => sum + value, 0);
} as Orchestrator);

df.app.orchestration('retrying', function* (context) {
  const { key, times, options } = context.df.getInput<{
    key: string;
    times: number;
    options: Partial<df.RetryOptions> & { attempts: number };
  }>();
  const retry = new df.RetryOptions(1000, options.attempts);
  retry.backoffCoefficient = options.backoffCoefficient ?? 1;
  if (options.maxRetryIntervalInMilliseconds) {
    retry.maxRetryIntervalInMilliseconds = options.maxRetryIntervalInMilliseconds;
  }
  if (options.retryTimeoutInMilliseconds) {
    retry.retryTimeoutInMilliseconds = options.retryTimeoutInMilliseconds;
  }
  try {
    const count: number = yield context.df.callActivityWithRetry('flaky', retry, { key, times });
    return { count };
  } catch (error) {
    return { caught: (error as Error).message.split(' \n ')[0] };
  }
} as Orchestrator);

df.app.orchestration('sleeping', function* (context) {
  const started = context.df.currentUtcDateTime.getTime();
  const ms = context.df.getInput<number>();
  context.df.setCustomStatus({ asleep: true });
  yield context.df.createTimer(new Date(started + ms));
  return context.df.currentUtcDateTime.getTime() - started;
} as Orchestrator);

df.app.orchestration('waiting', function* (context) {
  const deadline = context.df.createTimer(new Date(context.df.currentUtcDateTime.getTime() + 60_000));
  const event = context.df.waitForExternalEvent('go');
  const winner: unknown = yield context.df.Task.any([event, deadline]);
  if (winner === deadline) return 'late';
  deadline.cancel();
  const after: unknown = yield context.df.callActivity('echo', event.result);
  return { got: after };
} as Orchestrator);

df.app.orchestration('parent', function* (context) {
  const { child, input, id, attempts } = context.df.getInput<{
    child: string;
    input: unknown;
    id?: string;
    attempts?: number;
  }>();
  try {
    if (attempts) {
      const retry = new df.RetryOptions(1000, attempts);
      return (yield context.df.callSubOrchestratorWithRetry(child, retry, input, id)) as unknown;
    }
    return (yield context.df.callSubOrchestrator(child, input, id)) as unknown;
  } catch (error) {
    return { caught: (error as Error).message.split(' \n ')[0] };
  }
} as Orchestrator);

df.app.orchestration('failing', function* (context) {
  const { key, times } = context.df.getInput<{ key: string; times: number }>();
  yield context.df.callActivity('flaky', { key, times });
  return 'recovered';
} as Orchestrator);

df.app.orchestration('counting', function* (context) {
  const { n, until } = context.df.getInput<{ n: number; until: number }>();
  context.df.setCustomStatus({ n });
  yield context.df.waitForExternalEvent('tick');
  if (n + 1 < until) context.df.continueAsNew({ n: n + 1, until });
  return n + 1;
} as Orchestrator);

df.app.orchestration('calling', function* (context) {
  const { name, input } = context.df.getInput<{ name: string; input: unknown }>();
  return (yield context.df.callActivity(name, input)) as unknown;
} as Orchestrator);

df.app.orchestration('yieldsTwice', function* (context) {
  const a = context.df.waitForExternalEvent('a');
  const b = context.df.waitForExternalEvent('b');
  yield context.df.Task.any([a, b]);
  yield context.df.Task.all([a, b]);
  return 'both';
} as Orchestrator);

df.app.orchestration('failsAmongRetries', function* (context) {
  const retry = new df.RetryOptions(1000, 3);
  try {
    yield context.df.Task.all([
      context.df.callActivity('flaky', { key: 'sibling', times: 9 }),
      context.df.callActivityWithRetry('flaky', retry, { key: 'retried', times: 1 }),
    ]);
  } catch {
    return 'caught';
  }
  return 'not reached';
} as Orchestrator);

df.app.orchestration('callsHttp', function* (context) {
  yield context.df.callHttp({ method: 'GET', url: 'http://127.0.0.1:9/' });
} as Orchestrator);

let unstable = 0;
df.app.orchestration('notDeterministic', function* (context) {
  unstable += 1;
  yield context.df.callActivity(unstable === 1 ? 'echo' : 'flaky', { key: 'nd', times: 0 });
  yield context.df.callActivity('echo', 1);
} as Orchestrator);

df.app.orchestration('bigStatus', function* (context) {
  context.df.setCustomStatus('x'.repeat(context.df.getInput<number>()));
  yield context.df.callActivity('echo', 1);
  return 'done';
} as Orchestrator);

app.http('hello', {
  route: 'hello/{name}/{count:int?}',
  methods: ['GET', 'POST'],
  authLevel: 'anonymous',
  handler: async (request: HttpRequest, context: InvocationContext) => {
    context.log(`hello ${request.params['name'] ?? ''}`);
    return {
      status: 201,
      jsonBody: { params: request.params, query: request.query.get('q'), body: await request.text() },
      headers: { 'x-seen': request.headers.get('x-sent') ?? '' },
      cookies: [{ name: 'a', value: '1', sameSite: 'Lax', httpOnly: true, path: '/', maxAge: 60 }],
    };
  },
});

app.http('helloWorld', {
  route: 'hello/world',
  methods: ['GET'],
  authLevel: 'anonymous',
  handler: () => ({ body: 'the literal route' }),
});

app.http('size', {
  methods: ['PUT'],
  authLevel: 'function',
  handler: async (request: HttpRequest) => ({ body: String((await request.arrayBuffer()).byteLength) }),
});

app.http('nothing', { methods: ['GET'], authLevel: 'admin', handler: () => undefined as never });

app.http('broken', {
  methods: ['GET'],
  authLevel: 'anonymous',
  handler: () => {
    throw new Error('broken on purpose');
  },
});

df.app.client.http('start', {
  route: 'start/{name}/{id?}',
  methods: ['POST'],
  authLevel: 'anonymous',
  handler: async (request, client) => {
    const { name = '', id } = request.params;
    const version = request.query.get('version');
    const text = await request.text();
    const instanceId = await client.startNew(name, {
      ...(id ? { instanceId: id } : {}),
      ...(text ? { input: JSON.parse(text) as unknown } : {}),
      ...(version ? { version } : {}),
    });
    return client.createCheckStatusResponse(request, instanceId);
  },
});

/** Drives every operation of the Durable client; the answer is what each one returned or threw. */
df.app.client.http('client', {
  route: 'client/{operation}/{id}',
  methods: ['POST'],
  authLevel: 'anonymous',
  handler: async (request, client) => {
    const { operation = '', id = '' } = request.params;
    const run = async (): Promise<unknown> => {
      switch (operation) {
        case 'status':
          return client.getStatus(id, { showHistory: true, showHistoryOutput: true, showInput: true });
        case 'list':
          return (await client.getStatusAll()).map((status) => status.instanceId);
        case 'failed':
          return client.getStatusBy({ runtimeStatus: [df.OrchestrationRuntimeStatus.Failed] });
        case 'raise':
          return client.raiseEvent(id, request.query.get('event') ?? '', await request.json());
        case 'terminate':
          return client.terminate(id, 'by test');
        case 'suspend':
          return client.suspend(id, 'by test');
        case 'resume':
          return client.resume(id, 'by test');
        case 'rewind':
          return client.rewind(id, 'by test');
        case 'purge':
          return client.purgeInstanceHistory(id);
        default:
          throw new Error(`no operation ${operation}`);
      }
    };
    return run().then(
      (value) => ({ jsonBody: { value: value ?? null } }),
      (error: unknown) => ({ jsonBody: { error: String(error) } }),
    );
  },
});

export const ticks: { isPastDue: boolean; next: string | undefined }[] = [];
export const tickGate: { wait: Promise<void> | undefined } = { wait: undefined };
app.timer('everyFiveMinutes', {
  schedule: '0 */5 * * * *',
  handler: async (timer) => {
    ticks.push({ isPastDue: timer.isPastDue, next: timer.scheduleStatus?.next });
    await tickGate.wait;
  },
});

/** An activity that asks for a durable client: it starts another instance, and says how that one is. */
df.app.activity('starter', {
  extraInputs: [df.input.durableClient()],
  handler: async (instanceId: string, context) => {
    const client = df.getClient(context);
    await client.startNew('sequence', { instanceId, input: 'by an activity' });
    const { name } = await client.getStatus(instanceId);
    return name;
  },
});
