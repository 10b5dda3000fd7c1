import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { basics, outputOf, runHost } from './runHost.ts';

test('results of activities arrive in the order of the code, strings stay strings, and the version is known', async () => {
  const { engine, ended } = await runHost();
  engine.startNew('sequence', JSON.stringify('123'), { instanceId: 'policy-a-20260101T0000Z', version: '7' });
  expect(outputOf(await ended('policy-a-20260101T0000Z'))).toEqual({
    first: '123',
    second: ['123', 'text'],
    version: '7',
  });
});

test('a hundred activities fanned out take well under two seconds', async () => {
  const { result } = await runHost();
  const started = performance.now();
  expect(await result('fanOut', 100)).toBe(4950);
  expect(performance.now() - started).toBeLessThan(2000);
});

test('no more activities run at a time than host.json allows', async () => {
  const { host, start, ended } = await limitedHost();
  const { gates } = await basics();
  let running = 0;
  const opened = Promise.withResolvers<void>();
  const both = Promise.withResolvers<void>();
  const ids = [0, 1, 2, 3].map((i) => {
    const key = `limit-${i}`;
    const started = (): void => {
      running += 1;
      if (running === 2) both.resolve();
    };
    gates.set(key, { started, release: opened.promise });
    return start('calling', { name: 'gated', input: key });
  });
  await both.promise;
  // All four have asked: the other two wait for a place.
  for (const id of ids) await host.engine.watch(id, (row) => row?.status === 'Running');
  expect(running).toBe(2);
  opened.resolve();
  for (const id of ids) await ended(id);
  expect(running).toBe(4);
});

async function limitedHost(): ReturnType<typeof runHost> {
  const { writeFile } = await import('node:fs/promises');
  const { temporaryFolder } = await import('./runHost.ts');
  const appRoot = await temporaryFolder();
  const durableTask = { maxConcurrentActivityFunctions: 2, hubName: 'x' };
  await writeFile(
    `${appRoot}/host.json`,
    JSON.stringify({ functionTimeout: '00:01:00', extensions: { durableTask } }),
  );
  return runHost({ appRoot });
}

test('functionTimeout fails an activity, in words', async () => {
  const { start, ended, clock } = await limitedHost();
  const { gates } = await basics();
  const began = Promise.withResolvers<void>();
  gates.set('slow', { started: () => began.resolve(), release: new Promise(() => undefined) });
  const id = start('calling', { name: 'gated', input: 'slow' });
  await began.promise;
  clock.advance(60_000);
  const row = await ended(id);
  expect(row.status).toBe('Failed');
  expect(row.output).toContain('Timeout value of 00:01:00 was exceeded by function: Functions.gated');
});

test.each([
  { times: 2, options: { attempts: 4, backoffCoefficient: 3 }, waits: [1000, 3000], result: { count: 3 } },
  {
    times: 3,
    waits: [1000, 2000, 2500],
    result: { count: 4 },
    options: { attempts: 4, backoffCoefficient: 2, maxRetryIntervalInMilliseconds: 2500 },
  },
  {
    times: 9,
    options: { attempts: 2 },
    waits: [1000],
    result: { caught: "Activity function 'flaky' failed:  KEY failed 2" },
  },
])('a failing activity is retried after $waits ms', async ({ times, options, waits, result }) => {
  const { start, ended, clock } = await runHost();
  const key = randomUUID();
  const id = start('retrying', { key, times, options });
  for (const wait of waits) {
    const due = clock.now().getTime() + wait;
    await clock.waitForTimer((at) => at.getTime() === due);
    clock.advance(wait - 1);
    expect(clock.next()?.getTime()).toBe(due);
    clock.advance(1);
  }
  const output = JSON.stringify(outputOf(await ended(id))).replace(key, 'KEY');
  expect(JSON.parse(output)).toEqual(result);
});

test('a timer fires at its time, not before, and one of twenty days is made of hops of three', async () => {
  const { start, ended, engine, clock } = await runHost();
  const day = 86_400_000;
  const id = start('sleeping', 20 * day);
  const fired: number[] = [];
  for (let row = await engine.watch(id, (one) => one?.status === 'Running'); row?.status === 'Running'; ) {
    const { createdAt } = row;
    // Not those of the timer function, which come every five minutes.
    const due = await clock.waitForTimer((at) => at > clock.now() && (at.getTime() - createdAt) % day === 0);
    fired.push((due.getTime() - row.createdAt) / day);
    clock.advanceTo(due);
    const { updatedAt } = row;
    row = await engine.watch(id, (one) => one !== undefined && one.updatedAt > updatedAt);
  }
  expect(fired).toEqual([3, 6, 9, 12, 15, 20]);
  const row = await ended(id);
  expect([outputOf(row), row.customStatus]).toEqual([20 * day, '{"asleep":true}']);
});

test('an event that wins against a deadline leaves nothing behind', async () => {
  const { start, engine, ended, clock } = await runHost();
  const id = start('waiting', null);
  await engine.watch(id, (row) => row?.status === 'Running');
  // Event names are compared without regard to case by the host, but not by the library: keep them equal.
  expect(engine.raise(id, 'go', '{"n":1}')).toBe('accepted');
  expect(outputOf(await ended(id))).toEqual({ got: { n: 1 } });
  const late = start('waiting', null);
  const { createdAt } = (await engine.watch(late, (row) => row?.status === 'Running')) ?? { createdAt: 0 };
  await clock.waitForTimer((at) => at.getTime() === createdAt + 60_000);
  clock.advance(60_000);
  expect(outputOf(await ended(late))).toBe('late');
  expect(engine.raise(late, 'go', '1')).toBe('over');
  expect(engine.raise('nobody', 'go', '1')).toBe('missing');
});

test('children have their parent informed, are retried, and may not have the id of an ancestor', async () => {
  const { start, ended, result, clock } = await runHost();
  const started = start('parent', { child: 'sequence', input: { a: 1 }, id: 'the-child' });
  expect(outputOf(await ended(started))).toMatchObject({ first: { a: 1 } });
  expect(outputOf(await ended('the-child'))).toMatchObject({ first: { a: 1 } });

  const key = randomUUID();
  const retried = start('parent', { child: 'failing', input: { key, times: 1 }, attempts: 3 });
  const due = clock.now().getTime() + 1000;
  await clock.waitForTimer((at) => at.getTime() === due);
  clock.advance(1000);
  expect(outputOf(await ended(retried))).toBe('recovered');

  const failed = await result('parent', { child: 'failing', input: { key: `${key}-2`, times: 9 } });
  expect(failed).toEqual({
    caught:
      `Orchestrator function 'failing' failed: Activity function 'flaky' failed:  ${key}-2 failed 1 `.trimEnd(),
  });
  const self = start('parent', { child: 'sequence', input: 1, id: 'self' }, 'self');
  expect(outputOf(await ended(self))).toMatchObject({ caught: expect.stringContaining('own parents') });
  expect(await result('parent', { child: 'nothing', input: 1 })).toMatchObject({
    caught: expect.stringContaining("'nothing' doesn't exist"),
  });
});

test('continueAsNew begins anew with the new input, and keeps the events that were not read yet', async () => {
  const { start, engine, ended } = await runHost();
  const id = start('counting', { n: 0, until: 3 });
  const first = await engine.watch(id, (row) => row?.customStatus === '{"n":0}');
  // All at once: two of them are there before the execution that will read them.
  for (let n = 0; n < 3; n++) engine.raise(id, 'tick', 'null');
  const last = await ended(id);
  expect(outputOf(last)).toBe(3);
  expect(last.executionId).not.toBe(first?.executionId);
  expect(JSON.parse(last.input)).toEqual({ n: 2, until: 3 });
  // The history is that of the last execution alone.
  expect(engine.history(last).filter((event) => event.EventType === 15)).toHaveLength(1);
});

test('a suspended instance keeps events and finished work for its resume', async () => {
  const { start, engine, ended } = await runHost();
  const id = start('waiting', null);
  await engine.watch(id, (row) => row?.status === 'Running');
  engine.suspend(id, 'wait');
  await engine.watch(id, (row) => row?.status === 'Suspended');
  engine.raise(id, 'go', '5');
  const history = await engine.watch(id, (row) => row !== undefined && hasRaised(engine.history(row)));
  expect(history?.status).toBe('Suspended');
  engine.resume(id, 'go on');
  expect(outputOf(await ended(id))).toEqual({ got: 5 });
});

function hasRaised(history: readonly { EventType: number }[]): boolean {
  return history.some((event) => event.EventType === 15);
}

test('terminate ends an instance at once; what its activity returns later is dropped', async () => {
  const { start, engine, ended } = await runHost();
  const { gates } = await basics();
  const began = Promise.withResolvers<void>();
  const release = Promise.withResolvers<void>();
  gates.set('t', { started: () => began.resolve(), release: release.promise });
  const id = start('calling', { name: 'gated', input: 't' });
  await began.promise;
  engine.terminate(id, 'enough');
  const row = await ended(id);
  expect([row.status, row.output]).toEqual(['Terminated', '"enough"']);
  release.resolve();
  expect(engine.terminate(id, 'again')).toBe('over');
  const twin = start('sequence', 1, id);
  expect(outputOf(await ended(twin))).toMatchObject({ first: 1 });
});

test('an id in use is a conflict, a finished one is overwritten, a bad one refused', async () => {
  const { start, engine, ended } = await runHost();
  start('waiting', null, 'twice');
  expect(() => start('waiting', null, 'twice')).toThrow(
    /An Orchestration instance with the status \w+ already exists/,
  );
  engine.terminate('twice', '');
  await ended('twice');
  const again = start('sequence', 'x', 'twice');
  expect(outputOf(await ended(again))).toMatchObject({ first: 'x' });
  for (const id of ['@x', 'a/b', 'a#b', 'a?b', 'a\\b', 'a\nb', 'x'.repeat(101), ' ']) {
    expect(() => start('sequence', 1, id)).toThrow(/Cannot start 'sequence'/);
  }
  expect(() => start('nothing', 1)).toThrow(/'nothing' doesn't exist/);
});

test('purge removes an instance even while it runs', async () => {
  const { start, engine } = await runHost();
  const id = start('waiting', null);
  await engine.watch(id, (row) => row?.status === 'Running');
  expect(engine.purge(id)).toBe(true);
  expect(engine.get(id)).toBeUndefined();
  expect(engine.purge(id)).toBe(false);
});

test('an activity that does not exist fails the task instead of hanging the instance', async () => {
  const { start, ended } = await runHost();
  const row = await ended(start('calling', { name: 'nothing', input: 1 }));
  expect([row.status, row.output]).toEqual([
    'Failed',
    expect.stringContaining("Orchestrator function 'calling' failed: Activity function 'nothing' failed:"),
  ]);
});

test('code that is not deterministic and calls that are not supported fail with what to do', async () => {
  const { start, ended, engine } = await runHost();
  const changed = await ended(start('notDeterministic', null));
  expect(changed.output).toMatch(/not deterministic: the history has activity 'echo' as task 0/);
  const http = await ended(start('callsHttp', null));
  expect(http.output).toMatch(/context\.df\.callHttp, which the local Functions host does not run/);
  const fits = await ended(start('bigStatus', 8 * 1024 - 2));
  expect([fits.status, fits.customStatus?.length]).toEqual(['Completed', 8 * 1024]);
  const tooBig = await ended(start('bigStatus', 8 * 1024 - 1));
  expect(tooBig.output).toMatch(/custom status is larger than 16 KB/);
  expect(engine.purgeBy({ statuses: ['Failed'] })).toBe(3);
});

test('the three mistakes that hang the real host are warned about, with instance and remedy', async () => {
  const { start, ended, engine, log, clock } = await runHost();
  const twice = start('yieldsTwice', null);
  await engine.watch(twice, (row) => row?.status === 'Running');
  engine.raise(twice, 'a', '1');
  // The second yield waits for both once more: on the real host one event each is not enough.
  await engine.watch(twice, () =>
    log.some((entry) => entry.instanceId === twice && entry.level === 'warning'),
  );
  const among = start('failsAmongRetries', null);
  const due = clock.now().getTime() + 1000;
  await clock.waitForTimer((at) => at.getTime() === due);
  await engine.watch(among, () =>
    log.some((entry) => entry.instanceId === among && entry.level === 'warning'),
  );
  const options = { attempts: 2, retryTimeoutInMilliseconds: 60_000 };
  const timeout = start('retrying', { key: randomUUID(), times: 0, options });
  await ended(timeout);
  const warnings = log.filter((entry) => entry.level === 'warning');
  expect(warnings.map(({ instanceId, functionName }) => [instanceId, functionName])).toEqual([
    [twice, 'yieldsTwice'],
    [among, 'failsAmongRetries'],
    [timeout, 'retrying'],
  ]);
  expect(warnings[0]?.message).toMatch(/same task is part of two yields \('a', 'b'\).*new task for each/);
  expect(warnings[1]?.message).toMatch(/child of a Task\.all or Task\.any failed.*return them as results/);
  expect(warnings[2]?.message).toMatch(/retryTimeoutInMilliseconds.*maxNumberOfAttempts/);
});

test('a host goes on where the last one stopped, and timers that fell due meanwhile fire at once', async () => {
  const first = await runHost();
  const id = first.start('sleeping', 60_000);
  const waiting = first.start('waiting', null);
  await first.engine.watch(id, (row) => row?.status === 'Running');
  await first.engine.watch(waiting, (row) => row?.status === 'Running');
  await first.host.stop(1000);
  first.clock.advance(3_600_000);
  const second = await runHost({ appRoot: first.root, clock: first.clock });
  expect(outputOf(await second.ended(id))).toBe(3_600_000);
  expect(outputOf(await second.ended(waiting))).toBe('late');
});

test('one hub has one host', async () => {
  const first = await runHost();
  await expect(runHost({ appRoot: first.root })).rejects.toThrow(
    /Another Functions host works on the task hub/,
  );
});

test('an activity that asks for a durable client gets one', async () => {
  const { result, ended } = await runHost();
  expect(await result('calling', { name: 'starter', input: 'started-by-activity' })).toBe('sequence');
  expect(outputOf(await ended('started-by-activity'))).toMatchObject({ first: 'by an activity' });
});
