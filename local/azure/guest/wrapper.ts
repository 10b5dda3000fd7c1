/**
 * Stands between the simulator and a guest's process. Started with the command as arguments; the guest runs in a process group of its own.
 *
 * Standard input is the power cord: when it closes, the group is killed at once. A line `stop <ms>` on it is the power button: SIGTERM to the
 * group, and after so many milliseconds SIGKILL. Ends with the guest's exit code, or 128 plus the number of its signal.
 * Standard output carries one line, the process id of the group; the guest's own output goes to standard error.
 */
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { createInterface } from 'node:readline';

const [file, ...args] = process.argv.slice(2);
if (file === undefined) throw new Error('No command to run.');

const guest = spawn(file, args, { detached: true, stdio: ['ignore', 2, 2] });

function kill(signal: NodeJS.Signals): void {
  if (guest.pid === undefined) return;
  try {
    process.kill(-guest.pid, signal);
  } catch {
    // The group is gone.
  }
}

guest.once('spawn', () => process.stdout.write(`${guest.pid}\n`));
guest.once('error', (error) => {
  process.stderr.write(`${error.message}\n`);
  process.exit(127);
});
guest.once('exit', (code, signal) => {
  // What the guest left behind in its group ends with it.
  kill('SIGKILL');
  process.exit(code ?? 128 + (signal ? constants.signals[signal] : 0));
});

const cord = createInterface({ input: process.stdin });
cord.on('line', (line) => {
  const grace = /^stop (\d+)$/.exec(line)?.[1];
  if (grace === undefined) return;
  kill('SIGTERM');
  setTimeout(() => kill('SIGKILL'), Number(grace)).unref();
});
cord.once('close', () => kill('SIGKILL'));
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);
