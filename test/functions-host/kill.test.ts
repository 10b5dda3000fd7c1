import { readFile, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { expect, onTestFinished, test } from 'vitest';
import { LocalFunctionsHost } from '../../local/functions-host/host.ts';
import { type HostProcess, hostEnvironment, startHostProcess } from './hostProcess.ts';
import { outputOf, temporaryFolder } from './runHost.ts';

const children = Array.from({ length: 10 }, (_, i) => `child-${i}`);
const steps = children.flatMap((id) =>
  ['side', 'row'].flatMap((kind) => [0, 1, 2, 3].map((n) => `${id}/${kind}-${n}`)),
);
const kills = 20;

/** Small random numbers from a seed that is told when the test fails. */
function randomFrom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** Where every activity asks before it ends. Each answer is given by `next`, or never. */
async function gatekeeper(): Promise<{
  url: string;
  onRequest(next: (answer: () => Promise<void>) => void): void;
}> {
  let handle: (answer: () => Promise<void>) => void = (answer) => void answer();
  const server = createServer((request: IncomingMessage, response: ServerResponse) => {
    request.resume().once('end', () => {
      handle(async () => {
        await new Promise<void>((resolve) => response.end('go on', () => resolve()));
      });
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/`,
    onRequest(next) {
      handle = next;
    },
  };
}

/** The steps whose result is in the hub of a dead host: in the history of their instance, or in its inbox. */
function recordedSteps(state: string): Set<string> {
  const db = new DatabaseSync(join(state, 'hub.sqlite'));
  try {
    const read = (sql: string): { instanceId: string; event: { EventType: number; EventId: number } }[] =>
      db
        .prepare(sql)
        .all()
        .map((row) => {
          return { instanceId: String(row['instanceId']), event: JSON.parse(String(row['event'])) as never };
        });
    const all = [
      ...read('select instanceId, event from history'),
      ...read('select instanceId, event from inbox'),
    ];
    const key = (instanceId: string, id: number): string => `${instanceId} ${id}`;
    const inputs = new Map<string, string>();
    for (const { instanceId, event } of all) {
      const { EventType, EventId, Input } = event as { EventType: number; EventId: number; Input?: string };
      if (EventType === 4) inputs.set(key(instanceId, EventId), JSON.parse(Input ?? '') as string);
    }
    const done = all.filter(({ event }) => event.EventType === 5);
    return new Set(
      done.map(({ instanceId, event }) => {
        const id = (event as unknown as { TaskScheduledId: number }).TaskScheduledId;
        return inputs.get(key(instanceId, id)) ?? '';
      }),
    );
  } finally {
    db.close();
  }
}

test('killed 20 times at random, all work ends, and no activity whose result was recorded runs again', {
  timeout: 180_000,
}, async () => {
  const seed = Date.now() % 1_000_000;
  const random = randomFrom(seed);
  const root = await temporaryFolder();
  const logFile = join(root, 'began.log');
  // Few at a time, so that some end while others run.
  const durableTask = { maxConcurrentActivityFunctions: 2 };
  await writeFile(join(root, 'host.json'), JSON.stringify({ extensions: { durableTask } }));
  const gate = await gatekeeper();
  const env = { ...hostEnvironment('killed.ts', root), KILL_TEST_LOG: logFile, KILL_TEST_URL: gate.url };
  const state = env.HOLDFAST_HOST_STATE;
  const began = async (): Promise<string[]> => (await readFile(logFile, 'utf8')).trim().split('\n');

  let running: HostProcess | undefined;
  onTestFinished(() => void running?.child.kill('SIGKILL'));
  /** After each kill: what was recorded, and how many activities had begun. */
  const doneAt: { steps: Set<string>; lines: number }[] = [];
  let recorded = new Set<string>();
  let lines: string[] = [];
  for (let kill = 0; kill < kills; kill++) {
    const host = startHostProcess(env);
    running = host;
    // Dies at the n-th question: before the answer, with the answer on its way, or when it has arrived.
    const at = 1 + random(4);
    const moment = random(3);
    let questions = 0;
    gate.onRequest((answer) => {
      questions += 1;
      if (questions < at) void answer();
      else if (questions > at) return;
      else if (moment === 0) host.child.kill('SIGKILL');
      else if (moment === 1) {
        void answer();
        host.child.kill('SIGKILL');
      } else void answer().then(() => host.child.kill('SIGKILL'));
    });
    if (kill === 0) {
      const { url } = (await host.ready) ?? { url: '' };
      const start = `${url}/runtime/webhooks/durabletask/orchestrators/all/root?code=system-key`;
      await fetch(start, { method: 'POST', body: JSON.stringify(children) }).catch(() => undefined);
    }
    expect((await host.ended).signal, `seed ${seed}, kill ${kill}`).toBe('SIGKILL');
    lines = await began();
    const now = recordedSteps(state);
    for (const step of recorded) expect(now, `seed ${seed}: ${step} is still recorded`).toContain(step);
    recorded = now;
    // Those that are recorded now may not appear in the log from here on.
    doneAt.push({ steps: now, lines: lines.length });
  }
  gate.onRequest((answer) => void answer());

  process.env['KILL_TEST_LOG'] = logFile;
  process.env['KILL_TEST_URL'] = gate.url;
  const last = new LocalFunctionsHost({
    appRoot: root,
    entry: env.HOLDFAST_HOST_ENTRY,
    stateDir: state,
  });
  await last.start();
  onTestFinished(() => last.stop(1000));
  const row = await last.engine.watch('root', (one) => one !== undefined && one.status !== 'Running');
  if (!row) throw new Error('The root is gone.');
  const length = (id: string): number => steps.filter((step) => step.startsWith(`${id}/`)).join('').length;
  expect(outputOf(row)).toEqual(children.map(length));

  lines = await began();
  expect(new Set(lines)).toEqual(new Set(steps));
  for (const { steps: done, lines: from } of doneAt) {
    const again = lines.slice(from).filter((step) => done.has(step));
    expect(again, `seed ${seed}: recorded, and run again`).toEqual([]);
  }
  // The kills were worth something: work was cut off, and work was kept.
  expect(recorded.size).toBeGreaterThan(5);
  expect(lines.length).toBeGreaterThan(steps.length);
});
