/**
 * `npm start`: the whole of Holdfast on this machine, with a demo subscription that it protects. Ends with Ctrl-C; the next
 * start goes on where this one stopped. Everything is kept in `.holdfast` (or HOLDFAST_STATE).
 */
import { isHoldfastError, systemClock } from '../lib/model/index.ts';
import { DemoWorkload, populateDemo } from './demo/machines.ts';
import { keepBusy, protectDemo } from './demo/protection.ts';
import { DEMO_MACHINES } from './demo/subscription.ts';
import { StateFolder } from './stateFolder.ts';
import { type LocalSystem, startSystem } from './system.ts';

const say = (line: string): void => console.error(line);
const ending = new AbortController();
let system: LocalSystem | undefined;

async function end(code: number, message?: string): Promise<void> {
  if (ending.signal.aborted) return;
  ending.abort(new Error('stopping'));
  if (message) say(message);
  // Without a system yet, its start ends with the abort, below.
  if (system) process.exit(leave(await system.stop(), code));
}

function leave(stubborn: readonly string[], code: number): number {
  if (stubborn.length > 0) say(`These did not stop by themselves: ${stubborn.join(', ')}.`);
  return stubborn.length > 0 ? 1 : code;
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => void end(0, 'Stopping ...'));
}

try {
  const state = StateFolder.ofEnvironment(process.env);
  say(`Starting Holdfast on ${state.path} ...`);
  system = await startSystem(state, {
    populate: (admin) => populateDemo(state, admin, DEMO_MACHINES, say),
    signal: ending.signal,
  });
  for (const note of system.notes) say(note);
  void system.died.then((message) => end(1, `${message} Everything else is stopped too.`));
  const { url, api, admin } = system;
  console.log(
    `Holdfast is ready at ${url} (Ctrl-C stops it). It now protects ${DEMO_MACHINES.map(({ name }) => name).join(', ')}: look in another terminal with\n` +
      '  npx holdfast overview    npx holdfast machine list    npx holdfast point list    npx holdfast retention plan web-1',
  );
  const workload = new DemoWorkload(state, admin);
  await Promise.all([
    keepBusy(workload, systemClock, ending.signal, say),
    protectDemo(api, workload, systemClock, ending.signal, say),
  ]);
} catch (error) {
  if (!ending.signal.aborted) {
    say(isHoldfastError(error) ? error.message : String(error instanceof Error ? error.stack : error));
    process.exit(leave((await system?.stop()) ?? [], 1));
  }
  if (!system) process.exit(0);
}
