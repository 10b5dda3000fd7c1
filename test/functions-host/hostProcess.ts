import { type ChildProcess, type StdioOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
  stderr: string;
}

export interface HostProcess {
  child: ChildProcess;
  /** What the ready line said; undefined when the process ended without one. */
  ready: Promise<{ url: string; httpsUrl?: string; functions: { name: string }[] } | undefined>;
  ended: Promise<Ended>;
}

const main = join(import.meta.dirname, '..', '..', 'local', 'functions-host', 'main.ts');

/** The environment that a host process needs, with free ports. */
export function hostEnvironment(
  entry: string,
  root: string,
): Record<
  | 'HOLDFAST_HOST_ENTRY'
  | 'HOLDFAST_HOST_STATE'
  | 'HOLDFAST_HOST_ROOT'
  | 'HOLDFAST_HOST_PORT'
  | 'HOLDFAST_FUNCTION_KEY'
  | 'HOLDFAST_SYSTEM_KEY'
  | 'HOLDFAST_MASTER_KEY',
  string
> {
  return {
    HOLDFAST_HOST_ENTRY: join(import.meta.dirname, 'apps', entry),
    HOLDFAST_HOST_ROOT: root,
    HOLDFAST_HOST_STATE: join(root, 'state'),
    HOLDFAST_HOST_PORT: '0',
    HOLDFAST_FUNCTION_KEY: 'function-key',
    HOLDFAST_SYSTEM_KEY: 'system-key',
    HOLDFAST_MASTER_KEY: 'master-key',
  };
}

/** Runs main.ts as a process of its own. By default its stdin is empty and it has no IPC channel. */
export function startHostProcess(
  env: Record<string, string>,
  stdio: StdioOptions = ['ignore', 'pipe', 'pipe'],
): HostProcess {
  const child = spawn(process.execPath, [main], { env: { ...process.env, ...env }, stdio });
  let stderr = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  // Not 'close': it never comes once an IPC channel has been disconnected from this side.
  const stderrEnded = child.stderr ? once(child.stderr, 'end') : undefined;
  const ended = Promise.all([once(child, 'exit'), stderrEnded]).then(([[code, signal]]): Ended => {
    return { code: code as number | null, signal: signal as NodeJS.Signals | null, stderr };
  });
  const lines = child.stdout && createInterface({ input: child.stdout });
  const first = lines ? once(lines, 'line').then(([line]) => JSON.parse(String(line)) as unknown) : undefined;
  const ready = Promise.race([first, ended.then(() => undefined)]) as HostProcess['ready'];
  return { child, ready, ended };
}
