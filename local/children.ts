import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { closeSync, openSync, readFileSync, renameSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { HoldfastError } from '../lib/model/index.ts';
import type { ChildrenRecord } from './orphans.ts';
import { RUN_TOKEN } from './processes.ts';
import { PROJECT, type StateFolder } from './stateFolder.ts';

export interface ChildSpec {
  readonly name: string;
  /** The program, from the project's folder, and its arguments. */
  readonly program: string;
  readonly args?: readonly string[];
  /** Its environment, besides PATH, HOME and the like; nothing else of ours is handed on. */
  readonly env: Readonly<Record<string, string>>;
  /** It is never killed: it would lose what it has acknowledged. */
  readonly gentle?: boolean;
}

interface Child {
  readonly spec: ChildSpec;
  readonly process: ChildProcess;
  readonly ended: Promise<string>;
}

/** How long a child may take, in ms: to get ready, to stop before it is killed, to stop when it is never killed. */
export interface Patience {
  readonly readyMs: number;
  readonly stopMs: number;
  readonly gentleStopMs: number;
}
const PATIENCE: Patience = { readyMs: 60_000, stopMs: 12_000, gentleStopMs: 30_000 };
const LOG_BYTES = 8 * 1024 * 1024;
/** No HOME: no program of a local run may find somebody's real credentials. */
const HANDED_ON = ['PATH', 'LANG', 'LC_ALL', 'TMPDIR', 'TEMP', 'SystemRoot'];

/**
 * The processes of a local run. Each is told by a JSON line on its stdout that it is ready, and ends by itself when its
 * stdin closes, so that none outlives a launcher that was killed. They are written down for `endOrphans` all the same. Each
 * has a process group of its own: Ctrl-C in the terminal reaches the launcher only, which stops them in order.
 */
export class Children {
  private readonly state: StateFolder;
  private readonly patience: Patience;
  private readonly token = randomBytes(16).toString('hex');
  private readonly running: Child[] = [];
  private stopping = false;
  private stopped: Promise<string[]> | undefined;
  /** Called when a child ends that nobody stopped; with a sentence for a person. */
  onDeath: (message: string) => void = () => {};

  constructor(state: StateFolder, patience: Patience = PATIENCE) {
    this.state = state;
    this.patience = patience;
  }

  /** Starts a program and resolves with its ready line. Throws, with the end of its log, when it does not get ready. */
  async start(spec: ChildSpec): Promise<Record<string, unknown>> {
    if (this.stopping)
      throw new HoldfastError('cancelled', `${spec.name} was not started: everything is being stopped.`);
    const logFile = join(this.state.folder('logs'), `${spec.name}.log`);
    const log = openLog(logFile);
    const child = spawn(
      process.execPath,
      ['--enable-source-maps', join(PROJECT, spec.program), ...(spec.args ?? [])],
      {
        cwd: PROJECT,
        detached: true,
        stdio: ['pipe', 'pipe', log],
        env: { ...handedOn(), ...spec.env, [RUN_TOKEN]: this.token },
      },
    );
    if (!child.stdin || !child.stdout) throw new Error(`No pipes to ${spec.name}.`);
    // A pipe breaks when the child dies; its end is what is reported.
    child.stdin.on('error', () => {});
    const lines = createInterface(child.stdout);
    const ended = new Promise<string>((resolve) => {
      const end = (how: string) => {
        this.forget(spec.name);
        if (!this.stopping) this.onDeath(`${spec.name} ended by itself (${how}); its log is ${logFile}.`);
        resolve(how);
      };
      child.once('error', (error) => end(error.message));
      child.once('exit', (code, signal) => end(signal ? `killed by ${signal}` : `exit code ${code}`));
    });
    child.stdout.once('close', () => closeSync(log));
    this.running.push({ spec, process: child, ended });
    this.record();
    const ready = new Promise<Record<string, unknown>>((resolve) => {
      lines.on('line', (line) => {
        const object = readyLine(line);
        if (object) resolve(object);
        else writeSync(log, `${line}\n`);
      });
    });
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<string>((resolve) => {
      timer = setTimeout(
        () => resolve(`not ready after ${this.patience.readyMs / 1000} s`),
        this.patience.readyMs,
      );
    });
    const first = await Promise.race([ready, ended, late]);
    clearTimeout(timer);
    if (typeof first === 'string') {
      throw new HoldfastError('unavailable', `${spec.name} did not start: ${first}. ${tail(logFile)}`, {
        target: spec.name,
      });
    }
    return first;
  }

  /** The process numbers, by name. */
  pids(): Record<string, number> {
    return Object.fromEntries(this.running.map(({ spec, process: { pid } }) => [spec.name, pid ?? 0]));
  }

  /**
   * Stops all, the last started first, each when the one before it has ended. Never throws; answers with the names of those
   * that did not stop by themselves. Called again, it waits for the first call: nobody is signalled twice.
   */
  stopAll(): Promise<string[]> {
    this.stopped ??= this.stopInOrder();
    return this.stopped;
  }

  private async stopInOrder(): Promise<string[]> {
    this.stopping = true;
    const killed: string[] = [];
    for (const { spec, process: child, ended } of this.running.toReversed()) {
      child.kill('SIGTERM');
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<'late'>((resolve) => {
        const { gentleStopMs, stopMs } = this.patience;
        timer = setTimeout(() => resolve('late'), spec.gentle ? gentleStopMs : stopMs);
      });
      const first = await Promise.race([ended, late]);
      clearTimeout(timer);
      if (first !== 'late') continue;
      killed.push(spec.name);
      if (spec.gentle) continue;
      // Its whole group: what it has started must not stay either.
      if (child.pid) killGroup(child.pid);
      await ended;
    }
    if (killed.length === 0) this.state.remove('children.json');
    return killed;
  }

  private forget(name: string): void {
    const at = this.running.findIndex(({ spec }) => spec.name === name);
    if (at >= 0 && !this.stopping) this.running.splice(at, 1);
  }

  private record(): void {
    const children = this.running.flatMap(({ spec, process: { pid } }) =>
      pid === undefined ? [] : [{ name: spec.name, pid, gentle: spec.gentle ?? false }],
    );
    this.state.write('children.json', { token: this.token, children } satisfies ChildrenRecord);
  }
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // Gone by itself.
  }
}

function readyLine(line: string): Record<string, unknown> | undefined {
  if (!line.startsWith('{')) return undefined;
  try {
    const object = JSON.parse(line) as Record<string, unknown>;
    return object.ready === true ? object : undefined;
  } catch {
    return undefined;
  }
}

/** Opens a log for appending; a long one of earlier runs is put aside first. */
function openLog(file: string): number {
  if ((statSync(file, { throwIfNoEntry: false })?.size ?? 0) > LOG_BYTES) renameSync(file, `${file}.1`);
  return openSync(file, 'a', 0o600);
}

function tail(file: string): string {
  const lines = readFileSync(file, 'utf8').trimEnd().split('\n').slice(-12);
  return lines.join('') === ''
    ? `Its log (${file}) is empty.`
    : `The end of its log (${file}):\n${lines.join('\n')}`;
}

const handedOn = (): Record<string, string> =>
  Object.fromEntries(HANDED_ON.flatMap((name) => (process.env[name] ? [[name, process.env[name]]] : [])));
