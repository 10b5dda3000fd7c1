import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { MiB, type RestorePoint, systemClock } from '../../lib/model/index.ts';
import { LocalApi, type SessionAnswer } from '../../local/api.ts';
import { AdminClient } from '../../local/azure/index.ts';
import { DEMO } from '../../local/demo/subscription.ts';
import { StateFolder } from '../../local/stateFolder.ts';
import { holdReads } from './heldReads.ts';
import { end, type Program, RunProcesses, run } from './processes.ts';
import { Rig, SESSION_MS } from './rig.ts';
import { until } from './until.ts';

/** Whatever of a local run is killed, the next start goes on: nothing committed is lost, and nothing is left over. */
const MACHINES = { old: [64 * MiB, 32 * MiB], new: [64 * MiB] };
const LAUNCHER = fileURLToPath(new URL('launcher.ts', import.meta.url));
const programs: Program[] = [];
let rig: Rig;
/** Digests of the disks of each restore point that was committed, by chain and number. */
const committed = new Map<string, { point: RestorePoint; digests: string[] }>();

beforeAll(async () => {
  rig = await Rig.start(MACHINES);
  await commit(await rig.backUp('old', 'worker'));
  await rig.everythingReleased();
}, 150_000);
afterEach(async () => {
  for (const program of programs.splice(0)) await end(program);
}, 60_000);
afterAll(async () => {
  await rig?.end();
}, 60_000);

function start(command: string, args: string[], env?: Record<string, string>): Program {
  const program = run(command, args, env);
  programs.push(program);
  return program;
}

/** Remembers what a restore point must bring back: the disks as they are now. */
async function commit(session: SessionAnswer): Promise<RestorePoint> {
  expect(session).toMatchObject({ status: 'succeeded', error: null });
  const point = await rig.pointOf(session);
  committed.set(`${point.chainId}/${point.sequence}`, { point, digests: rig.digests(point.machineName) });
  return point;
}

/** The guest writes: some of it new, some of it over what is there. */
async function change(): Promise<void> {
  for (const disk of [...(rig.disks['old'] ?? []), ...(rig.disks['new'] ?? [])]) {
    await disk.write(5 * MiB, randomBytes(12 * MiB));
  }
}

/** Backups of both machines, the one incremental and planning, the other full and moving, held there. */
async function backupsUnderWay(api: LocalApi, admin: AdminClient) {
  const held = await holdReads({ admin }, { times: 1000 });
  const ids: string[] = [];
  for (const machine of ['old', 'new']) {
    const order = { machine, mover: 'worker', reset: machine === 'new' };
    ids.push(await api.startBackup(order));
  }
  const phaseOf = async (id: string) => (await api.sessions()).find((session) => session.id === id)?.phase;
  await until('a backup in phase move', async () => {
    const phases = await Promise.all(ids.map(phaseOf));
    return phases.includes('move') && phases.every((phase) => phase === 'move' || phase === 'plan');
  });
  await held.met(2);
  const guests = await until('two workers', async () => {
    const pids = (await admin.call('runningGuests')).map(({ pid }) => pid);
    return pids.length === 2 && pids.every((pid) => pid !== undefined) ? pids : undefined;
  });
  return { ids, guests };
}

/** Everything that must hold when the run that was cut off has been followed by another. */
async function expectRecovered(ids: readonly string[]): Promise<void> {
  for (const id of ids) {
    const session = await rig.api.wait(id, SESSION_MS);
    // Whichever way it ends, it says so, and the next one is good.
    const failedWithReason = session.status === 'failed' && session.error !== null;
    expect([session.status, failedWithReason || session.status === 'succeeded']).toEqual([
      session.status,
      true,
    ]);
    if (session.status === 'succeeded') await commit(session);
  }
  for (const machine of ['old', 'new']) {
    const point = await commit(await rig.backUp(machine, 'worker'));
    for (const { readReason } of point.disks) expect(['changedBlocks', 'first']).toContain(readReason);
    expect(machine === 'new' || point.kind === 'incremental').toBe(true);
  }
  await rig.sweep();
  await rig.everythingReleased();
  await expectNoRunningWorker();
  for (const { point, digests } of committed.values()) {
    expect(await rig.restoredDigests(point, `again-${committed.size}-`, 'inline')).toEqual(digests);
  }
  await rig.everythingReleased();
  const { findings, points } = await rig.check();
  expect(findings).toEqual([]);
  expect(points).toBe(committed.size);
}

/** By ARM, not by processes. */
async function expectNoRunningWorker(): Promise<void> {
  const owner = await rig.admin.call('addPrincipal', {
    name: 'owner',
    objectId: '7d1c6f2e-0b54-4c3e-9a6f-3d0de30000bb',
  });
  const { armUrl } = await rig.admin.call('endpoints');
  const group = `/subscriptions/${DEMO.subscriptionId}/resourceGroups/${DEMO.workerResourceGroup}`;
  await rig.admin.call('assignRole', { principalId: owner.objectId, role: 'Owner', scope: group });
  const { token } = await rig.admin.call('issueToken', {
    principalId: owner.objectId,
    resource: 'https://management.azure.com',
  });
  const answer = await fetch(
    `${armUrl}${group}/providers/Microsoft.Compute/virtualMachines?api-version=2025-04-01`,
    { headers: { authorization: `Bearer ${token}` } },
  );
  expect([answer.status, await answer.json()]).toMatchObject([200, { value: [] }]);
}

test('host, simulator and workers killed in the middle of backups: the next start ends them well and loses nothing', async () => {
  await change();
  const { ids, guests } = await backupsUnderWay(rig.api, rig.admin);
  const processes = new RunProcesses(rig.state, guests);
  const { pids } = rig.state.read('run.json') as { pids: Record<'host' | 'azure', number> };
  for (const pid of [pids.host, pids.azure]) process.kill(pid, 'SIGKILL');
  for (const group of guests) process.kill(-group, 'SIGKILL');
  expect(await rig.system.died).toMatch(/^(host|azure) ended by itself \(killed by SIGKILL\)/);
  // Azurite is stopped gently.
  expect(await rig.stop()).toEqual([]);
  await processes.allGone(10_000);
  await rig.start();
  await expectRecovered(ids);
}, 300_000);

test('the launcher killed: its children and the workers end by themselves, and the next start goes on', async () => {
  await rig.stop();
  const order = { folder: rig.state.path, machines: MACHINES, settings: rig.settings };
  const launch = () => start(process.execPath, [LAUNCHER, JSON.stringify(order)]);
  const launcher = launch();
  await launcher.line(/"ready":true/, 60_000);
  const second = launch();
  expect(await second.ended).not.toBe(0);
  expect(second.stderr()).toContain(
    `Holdfast already runs on ${rig.state.path} (process ${launcher.process.pid})`,
  );

  const { url, key, admin } = rig.state.read('run.json') as {
    url: string;
    key: string;
    admin: ConstructorParameters<typeof AdminClient>[0];
  };
  rig.attach(new AdminClient(admin));
  await change();
  const { ids, guests } = await backupsUnderWay(new LocalApi(url, key, systemClock), new AdminClient(admin));
  const processes = new RunProcesses(rig.state, guests);
  expect(processes.alive().length).toBeGreaterThanOrEqual(3 + guests.length);
  launcher.process.kill('SIGKILL');
  expect(await launcher.ended).toBe('SIGKILL');
  await processes.allGone(45_000);
  await rig.start();
  await expectRecovered(ids);
}, 300_000);

test('npm start: a second one is refused, and Ctrl-C ends everything within seconds', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-start-'));
  try {
    const state = new StateFolder(folder);
    const npmStart = () =>
      start(process.execPath, ['--import', './requireNode.mjs', 'local/start.ts'], {
        HOLDFAST_STATE: folder,
      });
    const first = npmStart();
    await first.line(/^Holdfast is ready at http:\/\/127\.0\.0\.1:\d+/, 120_000);
    const second = npmStart();
    expect(await second.ended).toBe(1);
    expect(second.stderr()).toContain(`Holdfast already runs on ${folder} (process ${first.process.pid})`);
    const list = start(process.execPath, ['cli/holdfast.js', 'machine', 'list', '-o', 'json'], {
      HOLDFAST_STATE: folder,
    });
    expect([await list.ended, list.stderr()]).toEqual([0, '']);
    expect(list.stdout()).toMatch(/"db-1"/);

    const { admin } = state.read('run.json') as { admin: ConstructorParameters<typeof AdminClient>[0] };
    const guests = (await new AdminClient(admin).call('runningGuests')).flatMap(({ pid }) => pid ?? []);
    const processes = new RunProcesses(state, guests);
    expect(processes.alive().length).toBeGreaterThanOrEqual(3);
    const pressed = performance.now();
    // As a terminal does: to the whole group in the foreground.
    process.kill(-(first.process.pid ?? 0), 'SIGINT');
    expect(await first.ended).toBe(0);
    expect(performance.now() - pressed).toBeLessThan(20_000);
    expect(processes.alive()).toEqual([]);
    expect(
      ['run.json', 'children.json', 'owner.json'].filter((name) => existsSync(join(folder, name))),
    ).toEqual([]);
  } finally {
    for (const program of programs.splice(0)) await end(program);
    rmSync(folder, { recursive: true, force: true });
  }
}, 240_000);
