import { expect, test } from 'vitest';
import { parseState } from '../../local/functions-host/actions.ts';
import { type HistoryEvent, newEvent } from '../../local/functions-host/history.ts';
import { type Replay, replay } from '../../local/functions-host/replayer.ts';

const at = new Date('2026-01-01T00:00:00Z');
const later = (seconds: number): Date => new Date(at.getTime() + seconds * 1000);

const began: HistoryEvent[] = [
  newEvent('OrchestratorStarted', at, {}),
  newEvent('ExecutionStarted', at, {
    Name: 'o',
    Input: 'null',
    OrchestrationInstance: { InstanceId: 'i', ExecutionId: 'e' },
  }),
];
const raised = (Name: string): HistoryEvent => newEvent('EventRaised', at, { Name, Input: 'null' });
const echo = { actionType: 0, functionName: 'echo', input: '"x"' };
const waits = { actionType: 6, externalEventName: 'tick' };

/** Replays what the library answered, as it would come over the wire. */
function run(actions: unknown[], history: HistoryEvent[], more: object = {}): Replay {
  const state = parseState({ isDone: false, actions: [actions], schemaVersion: 2, ...more });
  return replay({ executionId: 'e', name: 'o', state, threw: 'error' in more }, history);
}

test('what the history knows is not decided again, what it does not know is', () => {
  const first = run([echo], began);
  expect(first).toMatchObject({
    decisions: [{ kind: 'activity', id: 0, name: 'echo', input: '"x"' }],
    outcome: { status: 'running' },
  });
  const scheduled = [...began, newEvent('TaskScheduled', at, { Name: 'echo', Input: '"x"' }, 0)];
  expect(run([echo], scheduled).decisions).toEqual([]);
  const completed = [...scheduled, newEvent('TaskCompleted', at, { TaskScheduledId: 0, Result: '1' })];
  const done = { isDone: true, output: { a: 1 } };
  expect(run([echo], completed, done).outcome).toEqual({ status: 'completed', output: '{"a":1}' });
});

test('an orchestrator that has returned is running until what it started is closed', () => {
  const timer = { actionType: 5, fireAt: later(60).toISOString(), isCanceled: false };
  const race = { actionType: 11, compoundActions: [waits, timer] };
  const history = [...began, newEvent('TimerCreated', at, { FireAt: '' }, 0), raised('tick')];
  const done = { isDone: true, output: 'first' };
  expect(run([race], history, done).outcome).toEqual({ status: 'running' });
  const fired = [...history, newEvent('TimerFired', later(60), { TimerId: 0, FireAt: '' })];
  expect(run([race], fired, done).outcome).toEqual({ status: 'completed', output: '"first"' });
  const canceled = { actionType: 11, compoundActions: [waits, { ...timer, isCanceled: true }] };
  expect(run([canceled], history, done).outcome.status).toBe('completed');
});

test('a failed orchestrator, too, waits for what it started, then says why it failed', () => {
  const two = { actionType: 12, compoundActions: [echo, echo] };
  const scheduled = [0, 1].map((id) => newEvent('TaskScheduled', at, { Name: 'echo', Input: '"x"' }, id));
  const failed = newEvent('TaskFailed', at, { TaskScheduledId: 0, Reason: 'r', Details: 'd' });
  const history = [...began, ...scheduled, failed];
  const error = { error: 'r \n d' };
  expect(run([two], history, error).outcome).toEqual({ status: 'running' });
  const closed = [...history, newEvent('TaskCompleted', at, { TaskScheduledId: 1, Result: 'null' })];
  expect(run([two], closed, error).outcome).toMatchObject({
    status: 'failed',
    reason: "Orchestrator function 'o' failed: r \n d",
  });
});

test('events that come after continueAsNew are carried over; earlier ones that nobody read are lost', () => {
  const again = { actionType: 4, input: { n: 1 } };
  const history = [...began, raised('unread'), raised('tick'), raised('tick'), raised('other')];
  const { outcome, carryOver } = run([waits, again], history, { isDone: true });
  expect(outcome).toEqual({ status: 'continuedAsNew', input: '{"n":1}' });
  expect(carryOver.map((event) => event.Name)).toEqual(['tick', 'other']);
});

test('a suspended instance decides nothing and forgets nothing', () => {
  const suspended = newEvent('ExecutionSuspended', at, { Reason: '' });
  const resumed = newEvent('ExecutionResumed', at, { Reason: '' });
  const actions = [waits, echo];
  // In one batch: the event made work, and then came the suspension.
  const parked = run(actions, [...began, raised('tick'), suspended]);
  expect([parked.decisions, parked.suspended]).toEqual([[], true]);
  const free = run(actions, [...began, raised('tick'), suspended, resumed]);
  expect([free.decisions.map((one) => one.id), free.suspended]).toEqual([[0], false]);
  // The event came while suspended.
  expect(run(actions, [...began, suspended, raised('tick')]).decisions).toEqual([]);
  expect(run(actions, [...began, suspended, raised('tick'), resumed]).decisions).toHaveLength(1);
  const ended = run(actions, [...began, suspended, newEvent('ExecutionTerminated', at, { Input: 'enough' })]);
  expect(ended.outcome).toEqual({ status: 'terminated', reason: 'enough' });
});

test.each([
  ['another activity', newEvent('TaskScheduled', at, { Name: 'other', Input: '' }, 0)],
  ['another kind', newEvent('TimerCreated', at, { FireAt: '' }, 0)],
  ['a task that this run does not have', newEvent('TaskScheduled', at, { Name: 'echo', Input: '' }, 1)],
])('a history with %s is not deterministic', (_, event) => {
  const { outcome, decisions } = run([echo], [...began, event]);
  expect(outcome).toMatchObject({ status: 'failed', reason: expect.stringContaining('not deterministic') });
  expect(decisions).toEqual([]);
});

test('the newest waiter gets an event, and names are compared without case', () => {
  const any = { actionType: 12, compoundActions: [waits, { ...waits, externalEventName: 'TICK' }] };
  expect(run([any, echo], [...began, raised('Tick')]).decisions).toEqual([]);
  expect(run([any, echo], [...began, raised('Tick'), raised('tick')]).decisions).toHaveLength(1);
});

test('a child without an id has one made of the execution and the number of the task', () => {
  const child = { actionType: 2, functionName: 'c', input: { a: 1 }, version: '2' };
  expect(run([child], began).decisions).toEqual([
    { kind: 'child', id: 0, name: 'c', instanceId: 'e:0', input: '{"a":1}', version: '2' },
  ]);
});
