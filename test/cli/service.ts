import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { runCli, type Surroundings } from '../../cli/main.ts';
import type { Clock } from '../../lib/model/index.ts';

export interface Seen {
  readonly method: string;
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  readonly key: string | undefined;
  readonly headers: IncomingMessage['headers'];
  readonly body: unknown;
}
export interface Answer {
  readonly status?: number;
  readonly body: unknown;
}
type Script = Readonly<Record<string, Answer | readonly Answer[] | ((seen: Seen) => Answer)>>;

/**
 * A service that says what a test scripts, by `METHOD path` below /api/. A list of answers is given one by one, the last
 * one for ever. What is not scripted is answered with 404 as Azure would.
 */
export async function scriptedService(script: Script) {
  const seen: Seen[] = [];
  const asked = new Map<string, number>();
  async function answerTo(request: IncomingMessage): Promise<Answer> {
    const text = await readBody(request);
    const url = new URL(request.url ?? '/', 'http://localhost');
    const path = decodeURIComponent(url.pathname.replace(/^\/api\//, ''));
    const one: Seen = {
      method: request.method ?? '',
      path,
      query: Object.fromEntries(url.searchParams),
      key: request.headers['x-functions-key'] as string | undefined,
      headers: request.headers,
      body: text === '' ? undefined : JSON.parse(text),
    };
    seen.push(one);
    const name = `${one.method} ${path}`;
    const turn = asked.get(name) ?? 0;
    asked.set(name, turn + 1);
    const scripted = script[name];
    const answer =
      typeof scripted === 'function'
        ? scripted(one)
        : Array.isArray(scripted)
          ? (scripted as readonly Answer[])[Math.min(turn, scripted.length - 1)]
          : (scripted as Answer | undefined);
    return answer ?? refusal(404, 'notFound', `There is no ${path}.`);
  }
  const server = createServer((request, response) => {
    void answerTo(request).then(({ status = 200, body }) => {
      response.writeHead(status, { 'content-type': 'application/json' });
      return response.end(typeof body === 'string' ? body : JSON.stringify(body));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    close: () =>
      new Promise<void>((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}

export const refusal = (status: number, code: string, message: string, target?: string): Answer => ({
  status,
  body: { error: { code, message, ...(target === undefined ? {} : { target }) } },
});

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

/** Time passes only when somebody sleeps, and then at once. */
export const hurriedClock = (): Clock & { slept: number } => {
  const clock = {
    slept: 0,
    now: () => new Date(Date.UTC(2026, 10, 21) + clock.slept),
    async sleep(ms: number, signal?: AbortSignal) {
      signal?.throwIfAborted();
      clock.slept += ms;
    },
  };
  return clock;
};

/** Runs a command line against `url` and collects what it wrote. */
export async function run(url: string | undefined, argv: string[], around: Partial<Surroundings> = {}) {
  const out: string[] = [];
  const err: string[] = [];
  const code = await runCli(argv, {
    env: url === undefined ? {} : { HOLDFAST_URL: url, HOLDFAST_KEY: 'k3y' },
    cwd: '/',
    stdout: { write: (text) => out.push(text) },
    stderr: { write: (text) => err.push(text) },
    clock: hurriedClock(),
    signal: new AbortController().signal,
    ...around,
  });
  return { code, out: out.join(''), err: err.join('') };
}
