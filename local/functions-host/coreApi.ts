import Module from 'node:module';
import type { FunctionMetadata } from './functionMetadata.ts';
import type { LogLevel } from './log.ts';
import type { CoreInvocationContext, InvocationModel } from './typedData.ts';

export type FunctionCallback = (...args: unknown[]) => unknown;
type HookName = 'appStart' | 'appTerminate' | 'preInvocation' | 'postInvocation' | 'log';
type HookCallback = (context: Record<string, unknown>) => unknown;

export interface ProgrammingModel {
  name: string;
  version: string;
  getInvocationModel(context: CoreInvocationContext): InvocationModel;
  getCapabilities(capabilities: Record<string, string>): Promise<Record<string, string>>;
}

export interface RegisteredFunction {
  metadata: FunctionMetadata;
  callback: FunctionCallback;
}

const hookNames: readonly string[] = [
  'appStart',
  'appTerminate',
  'preInvocation',
  'postInvocation',
  'log',
] satisfies HookName[];

class Disposable {
  #dispose: (() => void) | undefined;

  constructor(dispose: () => void) {
    this.#dispose = dispose;
  }

  dispose(): void {
    this.#dispose?.();
    this.#dispose = undefined;
  }
}

/**
 * The module `@azure/functions-core`, which the Functions worker gives to `@azure/functions` in production and
 * which is on no registry. One per process, because `@azure/functions` asks for it once and keeps it.
 */
class CoreApi {
  readonly version = '3.13.0';
  readonly hostVersion = '4.1048.0';
  readonly Disposable = Disposable;
  readonly hooks = new Map<string, HookCallback[]>(hookNames.map((name) => [name, []]));
  /** Where functions are registered while an app is loaded; undefined when registration is over. */
  collecting: Map<string, RegisteredFunction> | undefined;
  /** Where lines go that the library writes outside of an invocation. */
  systemLog: (level: LogLevel, category: string, message: string) => void = () => undefined;
  #model: ProgrammingModel | undefined;

  setProgrammingModel = (model: ProgrammingModel): void => {
    this.#model = model;
  };

  getProgrammingModel = (): ProgrammingModel | undefined => this.#model;

  registerFunction = (metadata: FunctionMetadata, callback: FunctionCallback): Disposable => {
    const { collecting } = this;
    if (!collecting) {
      throw new Error(
        `Function '${metadata.name}' is registered after the app has started; register it at the top of a module.`,
      );
    }
    if (collecting.has(metadata.name)) throw new Error(`Two functions are named '${metadata.name}'.`);
    collecting.set(metadata.name, { metadata, callback });
    return new Disposable(() => void collecting.delete(metadata.name));
  };

  registerHook = (name: string, callback: HookCallback): Disposable => {
    const list = this.hooks.get(name);
    if (!list) {
      // The library looks at this mark to say which host version a hook needs.
      const error = new RangeError(`Unrecognized hook "${name}"`);
      throw Object.assign(error, { isAzureFunctionsSystemError: true });
    }
    list.push(callback);
    return new Disposable(() => void list.splice(list.indexOf(callback), 1));
  };

  log = (level: LogLevel, category: string, message: string): void => {
    this.systemLog(level, category, message);
  };

  /** Runs the hooks of one name in the order of their registration. */
  async runHooks(name: HookName, context: Record<string, unknown>): Promise<void> {
    for (const hook of this.hooks.get(name) ?? []) await hook(context);
  }
}

export type { CoreApi };

let installed: CoreApi | undefined;

/**
 * Makes `require('@azure/functions-core')` answer our object from now on, in every CommonJS module: also those
 * that an ES module imports, and `createRequire` in a bundle. Call it before anything of the app is imported.
 */
export function installCoreApi(): CoreApi {
  if (installed) return installed;
  const api = new CoreApi();
  const prototype = Module.prototype as unknown as { require: (id: string) => unknown };
  const original = prototype.require;
  prototype.require = function require(this: unknown, id: string): unknown {
    return id === '@azure/functions-core' ? api : original.call(this, id);
  };
  installed = api;
  return api;
}
