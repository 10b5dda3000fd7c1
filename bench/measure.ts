import { type ChildProcess, fork, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { sysconfTicks } from './machine.ts';

/** What one run of a program took. */
export interface Measured {
  readonly wallS: number;
  /** User and system time of the program and of its own children. */
  readonly cpuS: number;
  /** Largest resident set of the program. */
  readonly rssMiB: number;
  /** What it printed, or sent. */
  readonly output: string;
  readonly message: unknown;
}

/** CPU seconds of all our children that have ended: of those that we waited for since the last call, by difference. */
function cpuOfEndedChildren(): number {
  const stat = readFileSync('/proc/self/stat', 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[13]) + Number(fields[14])) / sysconfTicks();
}

/** The peak of the process's resident set so far, by the kernel's own count; 0 when it has ended. */
function peakMiB(pid: number): number {
  try {
    const line = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    return Number(line ?? 0) / 1024;
  } catch {
    return 0;
  }
}

async function watch(child: ChildProcess, what: string): Promise<Measured> {
  const before = cpuOfEndedChildren();
  const start = performance.now();
  let rssMiB = 0;
  const pid = child.pid ?? 0;
  const look = setInterval(() => {
    rssMiB = Math.max(rssMiB, peakMiB(pid));
  }, 20);
  const output: Buffer[] = [];
  const errors: Buffer[] = [];
  let message: unknown = null;
  child.stdout?.on('data', (chunk: Buffer) => output.push(chunk));
  child.stderr?.on('data', (chunk: Buffer) => errors.push(chunk));
  child.on('message', (sent) => {
    message = sent;
    rssMiB = Math.max(rssMiB, peakMiB(pid));
  });
  const status = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => resolve(code));
  }).finally(() => clearInterval(look));
  const wallS = (performance.now() - start) / 1000;
  const cpuS = cpuOfEndedChildren() - before;
  if (status !== 0)
    throw new Error(`${what} ended with ${status}: ${Buffer.concat(errors).toString().trim()}`);
  return { wallS, cpuS, rssMiB, output: Buffer.concat(output).toString(), message };
}

/** Runs a program to its end. With `discard` its standard output goes to /dev/null. */
export function measure(
  command: readonly string[],
  options: { cwd?: string; env?: Readonly<Record<string, string>>; discard?: boolean } = {},
): Promise<Measured> {
  const [program = '', ...args] = command;
  const child = spawn(program, args, {
    cwd: options.cwd,
    env: { ...process.env, ...options.env },
    stdio: ['ignore', options.discard ? 'ignore' : 'pipe', 'pipe'],
  });
  return watch(child, command.slice(0, 3).join(' '));
}

/** Runs a module of ours to its end, with `argument` as JSON; `message` is what it sent. */
export function measureModule(path: string, argument: unknown): Promise<Measured> {
  const child = fork(path, [JSON.stringify(argument)], {
    silent: true,
    execArgv: ['--disable-warning=ExperimentalWarning'],
  });
  return watch(child, path);
}

export interface Server {
  readonly url: string;
  usage(): Promise<Record<string, unknown> & { cpuS: number }>;
  stop(): void;
}

/** Starts one of the bench's servers in a process of its own. */
export async function startServer(path: URL, argument: string): Promise<Server> {
  const child = fork(path, [argument], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  const port = await new Promise<number>((resolve, reject) => {
    child.once('message', (sent) => resolve(Number(sent)));
    child.once('exit', (code) => reject(new Error(`${path.pathname} ended with ${code}.`)));
  });
  const url = `http://127.0.0.1:${port}`;
  return {
    url,
    usage: async () =>
      (await (await fetch(`${url}/usage`)).json()) as Record<string, unknown> & { cpuS: number },
    stop: () => child.disconnect(),
  };
}
