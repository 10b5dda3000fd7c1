import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { systemClock } from '../../lib/model/index.ts';
import { Children } from '../../local/children.ts';
import { endOrphans } from '../../local/orphans.ts';
import { choosePorts, PORT_NAMES } from '../../local/ports.ts';
import { belongsToRun, isAlive } from '../../local/processes.ts';
import { takeRunLock } from '../../local/runLock.ts';
import { StateFolder } from '../../local/stateFolder.ts';

const PROGRAMS = 'test/local/programs';
let folder: string;
let state: StateFolder;
let order: string;
const cleanUp: (() => unknown)[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'holdfast-local-'));
  state = new StateFolder(folder);
  order = join(folder, 'order.txt');
});
afterEach(async () => {
  for (const clean of cleanUp.splice(0)) await clean();
  rmSync(folder, { recursive: true, force: true });
});

const server = (name: string, env: Record<string, string> = {}, gentle = false) => ({
  name,
  program: `${PROGRAMS}/server.ts`,
  env: { NAME: name, ORDER: order, ...env },
  gentle,
});
const said = () => (existsSync(order) ? readFileSync(order, 'utf8').trimEnd().split('\n') : []);

/** A launcher in a process of its own, and the pids of its two children. */
async function launcher(env: Record<string, string>) {
  const program = fileURLToPath(new URL('programs/launcher.ts', import.meta.url));
  const child: ChildProcess = spawn(
    process.execPath,
    [program, folder, JSON.stringify({ ORDER: order, ...env })],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  const [line] = (await once(createInterface(child.stdout as NodeJS.ReadableStream), 'line')) as [string];
  return { child, pids: JSON.parse(line) as Record<string, number> };
}

async function ended(pid: number) {
  while (isAlive(pid)) await systemClock.sleep(20);
}

test('children stop in the opposite order of their start, and the record goes', async () => {
  const children = new Children(state);
  expect(await children.start(server('first'))).toMatchObject({ name: 'first' });
  await children.start(server('second'));
  expect(Object.keys(children.pids())).toEqual(['first', 'second']);
  expect(existsSync(join(folder, 'children.json'))).toBe(true);
  expect(await children.stopAll()).toEqual([]);
  expect(said()).toEqual(['second stopped', 'first stopped']);
  expect(existsSync(join(folder, 'children.json'))).toBe(false);
  expect(readFileSync(join(folder, 'logs', 'first.log'), 'utf8')).toBe('started first\n');
});

test('a child gets nothing of the environment but what it is given', async () => {
  process.env.NOT_HANDED_ON = 'secret';
  cleanUp.push(() => delete process.env.NOT_HANDED_ON);
  const children = new Children(state);
  expect(await children.start(server('first'))).toMatchObject({ secret: null });
  await children.stopAll();
});

test('a child that does not start is reported with the end of its log', async () => {
  const children = new Children(state);
  await expect(children.start({ name: 'broken', program: `${PROGRAMS}/broken.ts`, env: {} })).rejects.toThrow(
    /broken did not start: exit code 3.*\nThe port is taken\./,
  );
});

test('a child that dies is reported, one that is stopped is not', async () => {
  const children = new Children(state);
  await children.start(server('first'));
  await children.start(server('second'));
  const deaths: string[] = [];
  const death = new Promise<void>((resolve) => {
    children.onDeath = (message) => {
      deaths.push(message);
      resolve();
    };
  });
  process.kill(children.pids().first as number, 'SIGKILL');
  await death;
  await children.stopAll();
  expect(deaths).toEqual([expect.stringMatching(/^first ended by itself \(killed by SIGKILL\)/)]);
});

test('what does not stop is killed, unless it is gentle', async () => {
  const children = new Children(state, { readyMs: 10_000, stopMs: 300, gentleStopMs: 300 });
  await children.start(server('gentle', { DEAF: '1' }, true));
  await children.start(server('deaf', { DEAF: '1' }));
  const { gentle, deaf } = children.pids() as { gentle: number; deaf: number };
  cleanUp.push(() => process.kill(gentle, 'SIGKILL'));
  expect(await children.stopAll()).toEqual(['deaf', 'gentle']);
  expect([isAlive(deaf), isAlive(gentle)]).toEqual([false, true]);
});

test('children end when their launcher is killed', async () => {
  const { child, pids } = await launcher({});
  child.kill('SIGKILL');
  await Promise.all(Object.values(pids).map(ended));
  expect(said().sort()).toEqual(['gentle left alone', 'other left alone']);
});

test('what a killed launcher left behind is ended at the next start: the gentle one last, and gently', async () => {
  const { child, pids } = await launcher({ STAYS: '1' });
  child.kill('SIGKILL');
  await once(child, 'exit');
  expect(Object.values(pids).map(isAlive)).toEqual([true, true]);
  const release = takeRunLock(state);
  expect((await endOrphans(state, systemClock)).sort()).toEqual(['gentle', 'other']);
  expect(Object.values(pids).map(isAlive)).toEqual([false, false]);
  expect(said().filter((line) => !line.endsWith('left alone'))).toEqual(['gentle stopped']);
  expect(await endOrphans(state, systemClock)).toEqual([]);
  release();
});

test('a process number that was given to a stranger is left alone', async () => {
  const stranger = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' });
  cleanUp.push(() => stranger.kill('SIGKILL'));
  await once(stranger, 'spawn');
  const token = 'f'.repeat(32);
  const pid = stranger.pid as number;
  state.write('children.json', { token, children: [{ name: 'simulator', pid, gentle: false }] });
  expect(belongsToRun(pid, token)).toBe(false);
  expect(await endOrphans(state, systemClock)).toEqual([]);
  expect(isAlive(pid)).toBe(true);
});

test('a second run on the same folder is refused with the process of the first, and works once that has ended', async () => {
  const { child } = await launcher({});
  expect(() => takeRunLock(state)).toThrow(
    new RegExp(`already runs on ${folder} \\(process ${child.pid}\\)`),
  );
  child.kill('SIGKILL');
  await once(child, 'exit');
  takeRunLock(state)();
});

test('ports stay what they were, except for those that somebody else took', async () => {
  const first = await choosePorts(state);
  expect(new Set(Object.values(first.ports)).size).toBe(PORT_NAMES.length);
  expect(first.moved).toEqual([]);
  expect((await choosePorts(state)).ports).toEqual(first.ports);
  const { createServer } = await import('node:net');
  const taker = createServer().listen(first.ports.blob, '127.0.0.1');
  await once(taker, 'listening');
  const second = await choosePorts(state);
  taker.close();
  expect(second.moved).toEqual(['blob']);
  expect({ ...second.ports, blob: 0 }).toEqual({ ...first.ports, blob: 0 });
});

test('files of the state folder are for their owner only, and damage reads as absence', () => {
  state.write('run.json', { key: 'k' });
  expect(state.read('run.json')).toEqual({ key: 'k' });
  writeFileSync(state.file('run.json'), '{"key":');
  expect(state.read('run.json')).toBeUndefined();
});
