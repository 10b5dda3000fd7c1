/** A trigger, input or output of a function, with the settings that its type has. */
export interface Binding {
  type: string;
  direction?: 'in' | 'out';
  [setting: string]: unknown;
}

/** What `@azure/functions` says about a function that it registers. */
export interface FunctionMetadata {
  name: string;
  bindings: Record<string, Binding>;
  retryOptions?: unknown;
}
