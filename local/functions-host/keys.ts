import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';

/** The keys that callers show, as `?code=` or in the header `x-functions-key`. */
export interface Keys {
  /** Opens functions of level `function`. Several may be valid at once, for rotation. */
  functionKeys: readonly string[];
  /** Opens the Durable management API. */
  systemKey: string;
  /** Opens everything, and alone what is of level `admin`. */
  masterKey: string;
}

export type AuthLevel = 'anonymous' | 'function' | 'admin' | 'system';

/** The keys given, and random ones in place of those that are not. */
export function completeKeys(given: Partial<Keys>): Keys {
  const random = (): string => randomBytes(32).toString('base64url');
  return {
    functionKeys: given.functionKeys?.length ? given.functionKeys : [random()],
    systemKey: given.systemKey ?? random(),
    masterKey: given.masterKey ?? random(),
  };
}

/** Whether the request may use what has this level. */
export function isAllowed(keys: Keys, level: AuthLevel, request: IncomingMessage, url: URL): boolean {
  if (level === 'anonymous') return true;
  const header = request.headers['x-functions-key'];
  const shown = typeof header === 'string' ? header : url.searchParams.get('code');
  if (!shown) return false;
  const valid = [keys.masterKey];
  if (level === 'function') valid.push(...keys.functionKeys);
  if (level === 'system') valid.push(keys.systemKey);
  return valid.some((key) => same(key, shown));
}

/** Compares digests, so that neither length nor content shows in the time it takes. */
function same(a: string, b: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(a), digest(b));
}
