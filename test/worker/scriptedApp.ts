import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { ClaimAnswer, JobSecrets, RenewAnswer } from '../../lib/model/index.ts';
import { sessionIds } from '../catalog/support.ts';
import { type Loopback, type Reply, startLoopback } from '../workers/loopback.ts';

const [SESSION = ''] = sessionIds(1);
const times = { heartbeatMs: 50, claimMs: 60_000, stallMs: 60_000, graceMs: 60_000, interruptMs: 200 };

export interface Told {
  readonly verb: string;
  readonly body: Record<string, unknown> & { attempt?: number };
}

/** The app's side of the protocol: gives the jobs of a list, then drains; notes what it is told. */
export class ScriptedApp {
  readonly told: Told[] = [];
  readonly jobs: NonNullable<ClaimAnswer['job']>[] = [];
  output = '';
  /** Changes an answer to `renew`, or refuses the call. */
  onRenew: (told: Told) => Partial<RenewAnswer> | Reply = () => ({});
  onClaim: (told: Told) => Reply | null = () => null;
  /** Answers what is not the API: storage. */
  onOther: (path: string) => Reply = () => ({ status: 404, body: '' });
  #loopback: Loopback | undefined;
  #child: ChildProcess | undefined;
  #waiting: (() => void)[] = [];

  async start(): Promise<void> {
    this.#loopback = await startLoopback(({ path, body, headers }) => {
      const [, verb] = /^\/api\/worker\/(\w+)$/.exec(path) ?? [];
      if (!verb) return this.onOther(path);
      if (headers.authorization !== 'Bearer token-of-the-vm') return { status: 401, body: '{}' };
      const told = { verb, body: JSON.parse(body) as Told['body'] };
      this.told.push(told);
      const reply = this.#answer(told);
      for (const wake of this.#waiting.splice(0)) wake();
      return reply;
    });
  }

  get loopback(): Loopback {
    if (!this.#loopback) throw new Error('The app was not started.');
    return this.#loopback;
  }

  /** A job that runs the script of that name. */
  give(script: string, over: Partial<NonNullable<ClaimAnswer['job']>> = {}): void {
    const n = this.jobs.length;
    this.jobs.push({
      sessionId: SESSION,
      jobId: `restore-0-${n}`,
      attempt: 1,
      spec: {
        kind: 'restore',
        chain: { id: '0123456789abcdef', blockBytes: 524_288 },
        disk: 0,
        sizeBytes: 1_048_576,
        table: script,
        pageFrom: 0,
        pageTo: 1,
        targetDiskId: 'object',
      },
      checkpoint: null,
      until: new Date(Date.now() + 120_000).toISOString(),
      secrets: this.secrets('first'),
      ...over,
    });
  }

  secrets(signature: string, expiresAt = new Date(Date.now() + 3_600_000)): JobSecrets {
    const url = (container: string) =>
      `${this.loopback.appUrl}/account/${container}?sv=2026-01-01&sr=c&sig=${signature}`;
    return {
      chainKey: Buffer.alloc(32, 1).toString('base64'),
      dataUrl: url('data'),
      stagingUrl: url('staging'),
      sourceUrl: null,
      baseUrl: null,
      targetUrl: url('disk'),
      expiresAt: expiresAt.toISOString(),
    };
  }

  /** Starts the worker's process. */
  launch(program: string, over: Partial<typeof times> = {}): void {
    this.#child = spawn(process.execPath, [program], {
      env: {
        PATH: process.env['PATH'],
        HOLDFAST_APP_URL: this.loopback.appUrl,
        HOLDFAST_AUDIENCE: 'api://holdfast',
        AZURE_POD_IDENTITY_AUTHORITY_HOST: this.loopback.imdsUrl,
        NODE_EXTRA_CA_CERTS: this.loopback.tls.caFile,
        TEST_TIMES: JSON.stringify({ ...times, ...over }),
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.on('data', (chunk: Buffer) => {
        this.output += chunk.toString();
      });
    }
  }

  get child(): ChildProcess {
    if (!this.#child) throw new Error('The worker was not launched.');
    return this.#child;
  }

  /** The exit code, or the signal that ended it. */
  async ended(): Promise<number | string> {
    if (this.child.exitCode === null && this.child.signalCode === null) await once(this.child, 'close');
    return this.child.exitCode ?? this.child.signalCode ?? -1;
  }

  /** Resolves when the app has been told something that `is` so. */
  async until(is: (told: Told) => boolean): Promise<Told> {
    for (;;) {
      const found = this.told.find(is);
      if (found) return found;
      await new Promise<void>((resolve, reject) => {
        this.#waiting.push(resolve);
        this.child.once('close', () => reject(new Error(`The worker ended:\n${this.output}`)));
      });
    }
  }

  /** What was told, without the renewals. */
  verbs(): string[] {
    return this.told.map(({ verb }) => verb).filter((verb) => verb !== 'renew');
  }

  async stop(): Promise<void> {
    if (this.#child && this.#child.exitCode === null && this.#child.signalCode === null) {
      this.#child.kill('SIGKILL');
      await once(this.#child, 'close');
    }
    await this.#loopback?.stop();
  }

  #answer(told: Told): Reply {
    if (told.verb === 'claim') {
      const refusal = this.onClaim(told);
      if (refusal) return refusal;
      const job = this.jobs.shift() ?? null;
      return json({ drain: job === null, retryAfterSeconds: 1, job } satisfies ClaimAnswer);
    }
    if (told.verb !== 'renew') return json({ gone: false });
    const answer = this.onRenew(told);
    if ('body' in answer) return answer;
    const until = new Date(Date.now() + 120_000).toISOString();
    return json({ gone: false, cancel: false, until, secrets: null, ...answer } satisfies RenewAnswer);
  }
}

const json = (value: unknown): Reply => ({ body: JSON.stringify(value) });
