/** What a look came to: not yet (and what is waited for), or seen. */
export type Looked<T> =
  | { readonly done: false; readonly what: string }
  | { readonly done: true; readonly value: T };

export const notYet = (what: string): { done: false; what: string } => ({ done: false, what });
export const seen = <T>(value: T): { done: true; value: T } => ({ done: true, value });
