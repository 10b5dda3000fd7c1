import { z } from 'zod';
import {
  type Clock,
  HoldfastError,
  type Policy,
  policySchema,
  type RestorePoint,
  restorePointSchema,
  sessionSchema,
} from '../lib/model/index.ts';

const API_VERSION = '2026-11-01';
const TIMEOUT_MS = 60_000;
const POLL_MS = 500;

const started = z.object({ id: z.string() });
const list = <T extends z.ZodType>(item: T) =>
  z.object({ value: z.array(item), nextLink: z.string().optional() });
const refused = z.object({ error: z.object({ code: z.string(), message: z.string() }) });
/** A session as the API shows it, without where its time went: a restore names the disks that it made. */
const sessionAnswer = sessionSchema.omit({ phases: true, waits: true, throttling: true }).extend({
  createdDisks: z.array(z.object({ number: z.number().int(), diskId: z.string() })).optional(),
});
export type SessionAnswer = z.infer<typeof sessionAnswer>;

/** The calls to the app's API that a launcher makes for people: the demo policies, the main job. */
export class LocalApi {
  private readonly url: string;
  private readonly key: string;
  private readonly clock: Clock;

  /** `url` without `/api`. */
  constructor(url: string, key: string, clock: Clock) {
    this.url = url;
    this.key = key;
    this.clock = clock;
  }

  /** All restore points, newest first; of one machine, by name, when it is given. */
  async points(machine?: string): Promise<RestorePoint[]> {
    const path =
      machine === undefined ? 'restorePoints' : `machines/${encodeURIComponent(machine)}/restorePoints`;
    return (await this.call('GET', path, list(restorePointSchema))).value;
  }

  async policy(id: string): Promise<Policy | undefined> {
    try {
      return await this.call('GET', `policies/${id}`, policySchema.loose());
    } catch (error) {
      if (error instanceof HoldfastError && error.code === 'notFound') return undefined;
      throw error;
    }
  }

  async putPolicy(policy: z.input<typeof policySchema>): Promise<void> {
    await this.call('PUT', `policies/${policy.id}`, z.unknown(), policy);
  }

  /** Each of these starts a session and answers with its id. */
  startPolicy = async (id: string): Promise<string> => this.start(`policies/${id}/start`, {});
  startBackup = async ({
    mover,
    ...body
  }: {
    machine: string;
    mover?: string;
    reason?: string;
    reset?: boolean;
    expiresAt?: string;
  }): Promise<string> =>
    this.start('backups', { ...body, ...(mover === undefined ? {} : { protection: { mover } }) });
  startRestore = async (body: {
    restorePoint: string;
    resourceGroup?: string;
    namePrefix?: string;
  }): Promise<string> => this.start('restores', body);

  /** A person's word that a restore point, by its name, stays until it is released. */
  async holdPoint(name: string, body: { by: string; reason: string }): Promise<void> {
    await this.call('POST', `restorePoints/${name}/hold`, z.unknown(), body);
  }

  /** Follows a session to its end. Throws `timeout` after `ms`, and what `signal` says. */
  async wait(
    id: string,
    ms: number,
    onChange: (session: SessionAnswer) => void = () => {},
    signal?: AbortSignal,
  ): Promise<SessionAnswer> {
    const deadline = this.clock.now().getTime() + ms;
    for (;;) {
      const session = await this.call('GET', `sessions/${id}`, sessionAnswer);
      onChange(session);
      if (session.status !== 'running') return session;
      if (this.clock.now().getTime() > deadline) {
        throw new HoldfastError(
          'timeout',
          `Session ${id} is still in phase "${session.phase}" after ${ms / 1000} s.`,
          {
            target: id,
          },
        );
      }
      await this.clock.sleep(POLL_MS, signal);
    }
  }

  /** Sessions, newest first. */
  async sessions(filter: Readonly<Record<string, string>> = {}): Promise<SessionAnswer[]> {
    return (await this.call('GET', 'sessions', list(sessionAnswer), undefined, filter)).value;
  }

  private async start(path: string, body: unknown): Promise<string> {
    return (await this.call('POST', path, started, body)).id;
  }

  private async call<T extends z.ZodType>(
    method: string,
    path: string,
    schema: T,
    body?: unknown,
    query: Readonly<Record<string, string>> = {},
  ): Promise<z.infer<T>> {
    const url = new URL(`${this.url}/api/${path}`);
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
    url.searchParams.set('api-version', API_VERSION);
    const response = await fetch(url, {
      method,
      headers: { 'x-functions-key': this.key, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    const text = await response.text();
    if (!response.ok) {
      const answer = refused.safeParse(json(text));
      const why = answer.success
        ? `${answer.data.error.code}: ${answer.data.error.message}`
        : text.slice(0, 300);
      const code = { 404: 'notFound', 409: 'conflict' } as const;
      throw new HoldfastError(
        code[response.status as 404 | 409] ?? 'internal',
        `${method} ${url.pathname} was answered with ${response.status}. ${why}`,
        { target: path },
      );
    }
    const parsed = schema.safeParse(json(text));
    if (parsed.success) return parsed.data;
    throw new HoldfastError(
      'internal',
      `${method} ${url.pathname} was answered in another shape: ${z.prettifyError(parsed.error)}`,
    );
  }
}

function json(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
