import { isDeepStrictEqual } from 'node:util';
import { pointer } from './findings.ts';

/** One difference between two documents. `before` or `after` is left out where there is nothing at the path. */
export interface Difference {
  /** JSON pointer. */
  readonly path: string;
  readonly before?: unknown;
  readonly after?: unknown;
}

/**
 * What differs between two JSON documents, as few and as deep places as tell it: lists of one length are compared item by
 * item, others as wholes.
 */
export function diffDocuments(
  before: unknown,
  after: unknown,
  path: readonly PropertyKey[] = [],
): Difference[] {
  if (isDeepStrictEqual(before, after)) return [];
  const keys = sharedKeys(before, after);
  if (keys === null) {
    return [
      {
        path: pointer(path),
        ...(before === undefined ? {} : { before }),
        ...(after === undefined ? {} : { after }),
      },
    ];
  }
  const at = (document: unknown, key: PropertyKey) => (document as Record<PropertyKey, unknown>)[key];
  return keys.flatMap((key) => diffDocuments(at(before, key), at(after, key), [...path, key]));
}

/** The keys to go on with; null: the two are compared as wholes. */
function sharedKeys(a: unknown, b: unknown): PropertyKey[] | null {
  if (Array.isArray(a) && Array.isArray(b)) return a.length === b.length ? [...a.keys()] : null;
  if (!isObject(a) || !isObject(b)) return null;
  return [...new Set([...Object.keys(a), ...Object.keys(b)])];
}

const isObject = (value: unknown): value is object =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** A JSON merge patch (RFC 7396): objects are merged, null takes out, everything else replaces. */
export function mergePatch(document: unknown, patch: unknown): unknown {
  if (!isObject(patch)) return patch;
  const merged = new Map<string, unknown>(isObject(document) ? Object.entries(document) : []);
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) merged.delete(key);
    else merged.set(key, mergePatch(merged.get(key), value));
  }
  return Object.fromEntries(merged);
}
