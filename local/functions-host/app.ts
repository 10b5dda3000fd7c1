import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import {
  type CoreApi,
  type FunctionCallback,
  installCoreApi,
  type ProgrammingModel,
  type RegisteredFunction,
} from './coreApi.ts';
import type { Binding, FunctionMetadata } from './functionMetadata.ts';
import { describeError } from './log.ts';

export type FunctionKind = 'http' | 'timer' | 'activity' | 'orchestration';

export interface AppFunction {
  name: string;
  kind: FunctionKind;
  trigger: Binding;
  triggerName: string;
  /** Names of the inputs that are Durable clients. */
  clientInputs: string[];
  metadata: FunctionMetadata;
  callback: FunctionCallback;
}

export interface App {
  functions: Map<string, AppFunction>;
  core: CoreApi;
  model: ProgrammingModel;
}

const kinds = new Map<string, FunctionKind>([
  ['httptrigger', 'http'],
  ['timertrigger', 'timer'],
  ['activitytrigger', 'activity'],
  ['orchestrationtrigger', 'orchestration'],
]);
const clientTypes = ['durableclient', 'orchestrationclient'];

const loaded = new Map<string, Promise<App>>();

/**
 * Imports the entry file of the app, once per process (a module cannot be loaded anew), and checks that this
 * host can run each function. Throws when the entry throws, registers nothing or uses what is not supported:
 * the real host refuses to start as well.
 */
export function loadApp(entry: string): Promise<App> {
  const file = resolve(entry);
  const known = loaded.get(file);
  if (known) return known;
  const app = importApp(file);
  loaded.set(file, app);
  return app;
}

async function importApp(file: string): Promise<App> {
  const core = installCoreApi();
  const registered = new Map<string, RegisteredFunction>();
  core.collecting = registered;
  try {
    await import(/* @vite-ignore */ pathToFileURL(file).href);
  } catch (error) {
    throw new Error(`The app cannot start: its entry ${file} failed: ${describeError(error)}`, {
      cause: error,
    });
  } finally {
    core.collecting = undefined;
  }
  const model = core.getProgrammingModel();
  if (!model || registered.size === 0) {
    throw new Error(`The app cannot start: its entry ${file} registers no function with @azure/functions.`);
  }
  const problems: string[] = [];
  const functions = new Map<string, AppFunction>();
  for (const [name, { metadata, callback }] of registered) {
    const checked = check(metadata, callback);
    if (Array.isArray(checked)) problems.push(...checked);
    else functions.set(name, checked);
  }
  const capabilities = await model.getCapabilities({});
  if (capabilities['HttpUri']) {
    problems.push(
      'app.setup({ enableHttpStream: true }): HTTP streaming is not supported, remove the setting',
    );
  }
  if (problems.length > 0) {
    throw new Error(`The local Functions host cannot run this app:\n- ${problems.join('\n- ')}`);
  }
  return { functions, core, model };
}

/** The function, or what is wrong with it. */
function check(metadata: FunctionMetadata, callback: FunctionCallback): AppFunction | string[] {
  const { name } = metadata;
  const problems: string[] = [];
  const clientInputs: string[] = [];
  let found: { kind: FunctionKind; triggerName: string; trigger: Binding } | undefined;
  for (const [bindingName, binding] of Object.entries(metadata.bindings)) {
    const type = binding.type.toLowerCase();
    const kind = kinds.get(type);
    if (kind) found = { kind, triggerName: bindingName, trigger: binding };
    else if (clientTypes.includes(type)) clientInputs.push(bindingName);
    else if (!(type === 'http' && bindingName === '$return')) {
      const direction = binding.direction === 'out' ? 'output' : 'input';
      const what = type.endsWith('trigger') ? 'trigger' : `${direction} binding`;
      problems.push(`function '${name}': the ${what} '${binding.type}' is not supported`);
    }
  }
  if (metadata.retryOptions) {
    problems.push(
      `function '${name}': a retry policy on a trigger is not supported; retry inside the function`,
    );
  }
  if (problems.length > 0) return problems;
  if (!found) return [`function '${name}' has no trigger`];
  return { name, ...found, clientInputs, metadata, callback };
}
