/**
 * `npm run demo`: the main job once, without a person, in a state folder of its own: a VM with two disks is backed up, its
 * guest writes, it is backed up again, and both restore points are restored and compared with the snapshots, byte by byte.
 * `--json` prints the findings as one object on stdout; progress is on stderr. `--keep` leaves the state folder. Exit code 0
 * when all is as it must be, else 1.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { systemClock } from '../lib/model/index.ts';
import { DemoWorkload, populateDemo } from './demo/machines.ts';
import { judge, type MainJob, runMainJob } from './demo/mainJob.ts';
import { type DemoReport, faults, reportTable } from './demo/report.ts';
import { readWorkers } from './demo/requestLog.ts';
import { DEMO, DEMO_MACHINES } from './demo/subscription.ts';
import { openTruth } from './demo/truth.ts';
import { StateFolder } from './stateFolder.ts';
import { type LocalSystem, startSystem } from './system.ts';

const MACHINE = 'app-1';
const say = (line: string): void => console.error(line);

const { values } = parseArgs({ options: { json: { type: 'boolean' }, keep: { type: 'boolean' } } });
const folder = mkdtempSync(join(tmpdir(), 'holdfast-demo-'));
let system: LocalSystem | undefined;
let interrupted = false;

const clean = () => {
  if (!values.keep) rmSync(folder, { recursive: true, force: true });
};
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    if (interrupted) return;
    interrupted = true;
    say('Stopping ...');
    void (system?.stop() ?? Promise.resolve([])).then(() => {
      clean();
      return process.exit(130);
    });
  });
}

try {
  const report = await demo();
  const wrong = faults(report);
  process.stdout.write(values.json ? `${JSON.stringify(report, null, 2)}\n` : `\n${reportTable(report)}`);
  for (const sentence of wrong) say(`WRONG: ${sentence}`);
  if (wrong.length > 0) process.exitCode = 1;
  else
    say(
      `\nAll as it must be, in ${report.seconds.toFixed(0)} s: both restores identical, workers gone, every SAS revoked.`,
    );
} catch (error) {
  say(`The demo failed: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}
if (values.keep) say(`The state is in ${folder}`);
if (!interrupted) clean();

async function demo(): Promise<DemoReport> {
  const state = new StateFolder(folder);
  const machines = DEMO_MACHINES.filter(({ name }) => name === MACHINE);
  say('Starting Holdfast, Azurite and the Azure simulator ...');
  const running = await startSystem(state, {
    populate: (admin) => populateDemo(state, admin, machines, say),
  });
  system = running;
  const workload = new DemoWorkload(state, running.admin);
  const cloud = {
    guestWrites: async () => void (await workload.turn(new Date(), MACHINE)),
    openGrants: async () => (await running.admin.call('activeGrants')).map(({ id }) => id),
    workers: () => readWorkers(running.admin, DEMO.workerResourceGroup),
  };
  let job: MainJob;
  try {
    const died = running.died.then((message) => Promise.reject(new Error(message)));
    job = await Promise.race([runMainJob(MACHINE, running.api, cloud, systemClock, say), died]);
  } finally {
    await running.stop();
    system = undefined;
  }
  say('Comparing every byte of the restored disks with the snapshots ...');
  const truth = await openTruth(state.folder('azure'));
  try {
    return await judge(job, truth);
  } finally {
    await truth.close();
  }
}
