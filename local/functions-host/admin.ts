import { type Handler, json } from './http.ts';
import { isAllowed, type Keys } from './keys.ts';
import type { Timers } from './timers.ts';

export interface AdminOptions {
  keys: Keys;
  timers: Timers;
  functionNames: readonly string[];
  /** When the host started. */
  startedAt: Date;
  now(): Date;
}

/**
 * `/admin`, as far as the real one is of use here, with the master key: `GET host/status`, `GET functions`,
 * `POST functions/{name}` (runs a timer function now; 202 before it has ended). `GET host/ping` is open.
 */
export function adminApi(options: AdminOptions): Handler {
  return ({ message, url, segments }) => {
    if (segments[0]?.toLowerCase() !== 'admin') return undefined;
    const path = segments
      .slice(1)
      .map((part, index) => (index < 2 && segments[1]?.toLowerCase() === 'host' ? part.toLowerCase() : part));
    const what = `${message.method ?? 'GET'} ${path.join('/')}`;
    if (what === 'GET host/ping') return { status: 200 };
    if (!isAllowed(options.keys, 'admin', message, url)) return { status: 401 };
    if (what === 'GET host/status') {
      const processUptime = options.now().getTime() - options.startedAt.getTime();
      return json(200, { id: 'holdfast-local', state: 'Running', version: '4.0.0-local', processUptime });
    }
    if (what === 'GET functions')
      return json(
        200,
        options.functionNames.map((name) => ({ name })),
      );
    const name = path.length === 2 && path[0]?.toLowerCase() === 'functions' ? path[1] : undefined;
    if (message.method === 'POST' && name !== undefined) {
      if (options.timers.fire(name)) return { status: 202 };
      const known = options.functionNames.includes(name);
      const Message = known
        ? `Function '${name}' has no timer trigger; only those can be run from here.`
        : `There is no function '${name}'.`;
      return json(known ? 400 : 404, { Message });
    }
    return { status: 404 };
  };
}
