import { randomBytes } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { adminApi } from './admin.ts';
import { type App, type AppFunction, type FunctionKind, loadApp } from './app.ts';
import { clientPayload, managementUrls } from './clientPayload.ts';
import { type HostClock, systemClock } from './clock.ts';
import { Engine } from './engine.ts';
import type { Functions } from './episode.ts';
import { type HostSettings, readHostJson } from './hostJson.ts';
import { HttpListener, type Request } from './http.ts';
import { httpTriggers } from './httpTriggers.ts';
import { takeHubLock } from './hubLock.ts';
import { type InvocationResult, invoke, runAppHooks } from './invoke.ts';
import { completeKeys, isAllowed, type Keys } from './keys.ts';
import { jsonLog, type Log } from './log.ts';
import { durableApi } from './management.ts';
import { askOrchestrator, orchestrationTrigger } from './orchestrate.ts';
import { Store } from './store.ts';
import { Timers } from './timers.ts';
import { childTraceParent } from './trace.ts';
import { type TypedData, typedDataToJson } from './typedData.ts';

export interface HostOptions {
  /** The folder of host.json. */
  appRoot: string;
  /** The module that registers the functions, relative to `appRoot` or absolute: TypeScript or JavaScript. */
  entry: string;
  /** The folder of the task hub; made when missing. */
  stateDir: string;
  /** 0, the default, for a free port. */
  port?: number | undefined;
  /** With `tls`: serve the same over HTTPS. */
  httpsPort?: number | undefined;
  /** Certificate chain and key, PEM. */
  tls?: { cert: string; key: string } | undefined;
  functionKeys?: readonly string[] | undefined;
  systemKey?: string | undefined;
  masterKey?: string | undefined;
  clock?: HostClock | undefined;
  log?: Log | undefined;
}

export interface Endpoints {
  /** Without a slash at the end. */
  url: string;
  httpsUrl?: string;
  functions: { name: string; kind: FunctionKind }[];
  keys: Keys;
}

/** Runs one Azure Functions app on this machine, in this process. See README.md. */
export class LocalFunctionsHost {
  readonly #options: HostOptions;
  readonly #clock: HostClock;
  readonly #keys: Keys;
  readonly #cleanup: (() => Promise<void> | void)[] = [];
  readonly #listeners: HttpListener[] = [];
  #log: Log;
  #engine: Engine | undefined;
  #timers: Timers | undefined;
  #app: App | undefined;

  constructor(options: HostOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#log = options.log ?? (() => undefined);
    const { functionKeys, systemKey, masterKey } = options;
    this.#keys = completeKeys({
      ...(functionKeys ? { functionKeys } : {}),
      ...(systemKey ? { systemKey } : {}),
      ...(masterKey ? { masterKey } : {}),
    });
  }

  /** The orchestrations, once started. */
  get engine(): Engine {
    if (!this.#engine) throw new Error('The Functions host has not been started.');
    return this.#engine;
  }

  /** Runs a timer function now and resolves at its end, as `POST /admin/functions/{name}` does. */
  async fireTimer(name: string): Promise<void> {
    const run = this.#timers?.fire(name);
    if (!run) throw new Error(`There is no timer function '${name}'.`);
    await run;
  }

  /** Takes the hub, opens the ports, loads the app, goes on with what was running. Rejects, all undone, if it cannot. */
  async start(): Promise<Endpoints> {
    try {
      return await this.#start();
    } catch (error) {
      await this.#undo();
      throw error;
    }
  }

  /**
   * Stops gently: no new requests, timer runs, episodes or activities. What runs has `graceMs` to end; what is
   * not done then is begun anew by the next start.
   */
  async stop(graceMs: number): Promise<void> {
    const drained = Promise.all([
      this.#timers?.stop(),
      this.#engine?.stop(),
      // The Durable client of a function that is ending still needs the last one.
      ...this.#listeners.slice(0, -1).map((listener) => listener.close()),
    ]);
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<'late'>((settle) => {
      timer = setTimeout(() => settle('late'), graceMs);
    });
    if ((await Promise.race([drained, late])) === 'late') {
      const message = `The Functions host stops with work unfinished after ${graceMs} ms; it is done again at the next start.`;
      this.#log({ level: 'warning', category: 'host', message });
    }
    clearTimeout(timer);
    if (this.#app) await runAppHooks(this.#app, 'appTerminate');
    await this.#undo();
  }

  async #start(): Promise<Endpoints> {
    const options = this.#options;
    const settings = await readHostJson(options.appRoot);
    if (!options.log) this.#log = jsonLog((line) => process.stderr.write(line), settings.logLevel);
    await mkdir(options.stateDir, { recursive: true });
    this.#cleanup.push(takeHubLock(join(options.stateDir, 'hub.lock')));
    const store = new Store(join(options.stateDir, 'hub.sqlite'));
    this.#cleanup.push(() => store.close());

    const port = await this.#listen(options.port ?? 0);
    const httpsPort = options.tls && (await this.#listen(options.httpsPort ?? 0, options.tls));
    // Its own port: the other may be shown to others. The path is secret, so that no web page can reach it.
    const rpcPath = ['durabletask', randomBytes(16).toString('hex')];
    const rpcBaseUrl = `http://127.0.0.1:${await this.#listen(0)}/${rpcPath.join('/')}/`;

    setEnvironment(port, resolve(options.appRoot));
    const app = await loadApp(resolve(options.appRoot, options.entry));
    app.core.systemLog = (level, category, message) => {
      this.#log({ level, category: category === 'user' ? 'user' : 'system', message });
    };
    await runAppHooks(app, 'appStart');
    this.#app = app;

    const origin = `http://localhost:${port}`;
    const client = clientPayload({
      hubName: settings.hubName,
      origin,
      systemKey: this.#keys.systemKey,
      rpcBaseUrl,
    });
    const all = [...app.functions.values()];
    const ofKind = (kind: FunctionKind): AppFunction[] => all.filter((fn) => fn.kind === kind);
    const run = (fn: AppFunction, trigger: TypedData, traceParent?: string): Promise<InvocationResult> => {
      return this.#invoke(fn, {
        inputs: inputsOf(fn, trigger, client),
        traceParent: childTraceParent(traceParent),
        timeout: settings.functionTimeout,
      });
    };

    const timers = new Timers({
      functions: ofKind('timer'),
      store,
      clock: this.#clock,
      log: this.#log,
      invoke: run,
    });
    const engine = new Engine({
      store,
      clock: this.#clock,
      log: this.#log,
      defaultVersion: settings.defaultVersion,
      functions: this.#functions(app, settings, client),
      maxConcurrentActivities: settings.maxConcurrentActivities,
      maxConcurrentOrchestrators: settings.maxConcurrentOrchestrators,
    });
    const links = ({ url }: Request, id: string): Record<string, string> =>
      managementUrls(url.origin, this.#keys.systemKey, id);
    const triggers = httpTriggers({
      functions: ofKind('http'),
      routePrefix: settings.routePrefix,
      keys: this.#keys,
      log: this.#log,
      invoke: async (fn, trigger, traceParent) => (await run(fn, trigger, traceParent)).returnValue,
    });
    const webhooks = durableApi({
      engine,
      links,
      base: ['runtime', 'webhooks', 'durabletask'],
      isAllowed: ({ message, url }) => isAllowed(this.#keys, 'system', message, url),
    });
    const admin = adminApi({
      keys: this.#keys,
      timers,
      functionNames: [...app.functions.keys()],
      startedAt: this.#clock.now(),
      now: () => this.#clock.now(),
    });
    const rpc = durableApi({
      engine,
      base: rpcPath,
      isAllowed: () => true,
      links: (_, id) => managementUrls(origin, this.#keys.systemKey, id),
    });
    const rpcListener = this.#listeners.at(-1);
    for (const listener of this.#listeners) {
      listener.serve(listener === rpcListener ? [rpc] : [triggers, webhooks, admin]);
    }
    this.#engine = engine;
    this.#timers = timers;
    engine.start();
    timers.start();
    return {
      url: `http://127.0.0.1:${port}`,
      ...(httpsPort === undefined ? {} : { httpsUrl: `https://127.0.0.1:${httpsPort}` }),
      functions: all.map(({ name, kind }) => ({ name, kind })),
      keys: this.#keys,
    };
  }

  async #listen(port: number, tls?: { cert: string; key: string }): Promise<number> {
    const listener = new HttpListener(this.#log, tls);
    const bound = await listener.open(port);
    this.#listeners.push(listener);
    return bound;
  }

  #functions(app: App, settings: HostSettings, client: TypedData): Functions {
    const ofKind = (name: string, kind: FunctionKind): AppFunction | undefined => {
      const fn = app.functions.get(name);
      return fn?.kind === kind ? fn : undefined;
    };
    const known = (name: string, kind: FunctionKind): AppFunction => {
      const fn = ofKind(name, kind);
      if (!fn)
        throw new Error(`The function '${name}' doesn't exist, is disabled, or is not an ${kind} function.`);
      return fn;
    };
    return {
      hasOrchestrator: (name) => ofKind(name, 'orchestration') !== undefined,
      hasActivity: (name) => ofKind(name, 'activity') !== undefined,
      orchestrate: (row, history) =>
        askOrchestrator(async () => {
          const fn = known(row.name, 'orchestration');
          const trigger = orchestrationTrigger(row.instanceId, history);
          const traceParent = childTraceParent(row.traceParent);
          return this.#invoke(fn, {
            inputs: { [fn.triggerName]: trigger },
            traceParent,
            instanceId: row.instanceId,
          });
        }),
      runActivity: async (task) => {
        const fn = known(task.name, 'activity');
        const { instanceId } = task;
        const result = await this.#invoke(fn, {
          inputs: inputsOf(fn, { string: task.input }, client),
          triggerMetadata: { instanceId: { string: instanceId } },
          traceParent: childTraceParent(task.traceParent),
          instanceId,
          timeout: settings.functionTimeout,
        });
        return typedDataToJson(result.returnValue);
      },
    };
  }

  async #invoke(fn: AppFunction, invocation: Parameters<typeof invoke>[2]): Promise<InvocationResult> {
    if (!this.#app) throw new Error('The Functions host has no app.');
    return invoke(this.#app, fn, invocation, this.#clock, this.#log);
  }

  async #undo(): Promise<void> {
    for (const listener of this.#listeners.splice(0)) {
      const closed = listener.close();
      listener.abandon();
      await closed;
    }
    for (const undo of this.#cleanup.splice(0).reverse()) await undo();
  }
}

/** What a function gets: its trigger's data, and a durable client for each input that asks for one. */
function inputsOf(fn: AppFunction, trigger: TypedData, client: TypedData): Record<string, TypedData> {
  return { [fn.triggerName]: trigger, ...Object.fromEntries(fn.clientInputs.map((name) => [name, client])) };
}

/** What code in the app, and the Durable client, may ask of their surroundings. */
function setEnvironment(port: number, appRoot: string): void {
  const { env } = process;
  // Without it the Durable client rewrites its links to localhost:7071.
  env['WEBSITE_HOSTNAME'] = `localhost:${port}`;
  env['AzureWebJobsScriptRoot'] = appRoot;
  env['AZURE_FUNCTIONS_ENVIRONMENT'] ??= 'Development';
  env['FUNCTIONS_WORKER_RUNTIME'] ??= 'node';
  env['FUNCTIONS_EXTENSION_VERSION'] ??= '~4';
}
