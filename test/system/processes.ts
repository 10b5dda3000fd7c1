import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { isAlive, processesOfRun } from '../../local/processes.ts';
import { PROJECT, type StateFolder } from '../../local/stateFolder.ts';
import { until } from './until.ts';

export interface Program {
  readonly process: ChildProcess;
  /** All that it has printed so far. */
  stdout(): string;
  stderr(): string;
  /** The first line on stdout that `match` takes. Fails when the program ends before. */
  line(match: RegExp, ms: number): Promise<string>;
  /** Its exit code, or the signal that ended it. */
  readonly ended: Promise<number | NodeJS.Signals>;
}

/** Runs a program of the project as a user does, in the project's folder, in a process group of its own. */
export function run(command: string, args: readonly string[], env: Record<string, string> = {}): Program {
  const child = spawn(command, args, {
    cwd: PROJECT,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  let out = '';
  let err = '';
  createInterface(child.stdout).on('line', (line) => {
    out += `${line}\n`;
  });
  child.stderr.on('data', (text: Buffer) => {
    err += text.toString();
  });
  const ended = once(child, 'close').then(([code, signal]) => (code ?? signal) as number | NodeJS.Signals);
  const isOver = () => child.exitCode !== null || child.signalCode !== null;
  return {
    process: child,
    ended,
    stdout: () => out,
    stderr: () => err,
    line: (match, ms) =>
      until(
        `${match} from ${command} ${args.join(' ')}`,
        () => {
          const found = out.split('\n').find((line) => match.test(line));
          if (found === undefined && isOver()) throw new Error(`${command} ended: ${err}`);
          return found;
        },
        ms,
      ),
  };
}

/** For the end of a test, whatever became of it: the program's whole group. */
export async function end({ process: child, ended }: Program): Promise<void> {
  if (child.exitCode === null && child.signalCode === null && child.pid) {
    try {
      process.kill(-child.pid, 'SIGTERM');
    } catch {
      // Gone meanwhile.
    }
  }
  await ended;
}

/** Who belongs to the run on a state folder, as long as its record is there. */
export class RunProcesses {
  readonly #token: string;
  readonly #others: readonly number[];

  /** `others`: process numbers that do not carry the run's token, such as guests. */
  constructor(state: StateFolder, others: readonly number[] = []) {
    this.#token = (state.read('children.json') as { token: string }).token;
    this.#others = others;
  }

  alive(): number[] {
    return [...processesOfRun(this.#token, []), ...this.#others.filter(isAlive)];
  }

  async allGone(ms: number): Promise<void> {
    await until(`the end of processes ${this.alive().join(', ')}`, () => this.alive().length === 0, ms);
  }
}
