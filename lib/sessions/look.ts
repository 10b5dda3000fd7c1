/** What a look came to: not yet (and what is waited for), or seen. */
export type Looked<T> =
  | { readonly done: false; readonly what: string; readonly until?: string }
  | { readonly done: true; readonly value: T };

/** `until`: nothing happens before then, so that looking earlier is idle. */
export const notYet = (what: string, until?: Date): { done: false; what: string; until?: string } => ({
  done: false,
  what,
  ...(until === undefined ? {} : { until: until.toISOString() }),
});
export const seen = <T>(value: T): { done: true; value: T } => ({ done: true, value });
