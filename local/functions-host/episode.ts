import type { HostClock } from './clock.ts';
import {
  completedTaskId,
  eventTypes,
  type HistoryEvent,
  isEvent,
  newEvent,
  type ParentInstance,
} from './history.ts';
import { createInstance, instanceIdProblem } from './instances.ts';
import { actionsYieldedTwice, yieldedTwiceAdvice } from './mistakes.ts';
import type { Answer } from './orchestrate.ts';
import { type Decision, type Outcome, type Replay, replay } from './replayer.ts';
import { type InstanceRow, isOver, type Message, type Store, type TaskRow } from './store.ts';

/** What episodes run: the functions of the app by name, behind their invocation. */
export interface Functions {
  hasOrchestrator(name: string): boolean;
  hasActivity(name: string): boolean;
  orchestrate(row: InstanceRow, history: readonly HistoryEvent[]): Promise<Answer>;
  /** The result as JSON text; rejects with InvocationFailure. */
  runActivity(task: TaskRow): Promise<string>;
}

export interface EpisodeContext {
  store: Store;
  clock: HostClock;
  functions: Functions;
  defaultVersion: string | undefined;
}

/** What the engine must do after an episode has been written. */
export interface Effects {
  row: InstanceRow;
  tasks: TaskRow[];
  /** Instances that have a message to read now. */
  wake: string[];
  /** When the earliest message that this episode sent to later is due. */
  nextDue: number | undefined;
  mistakes: string[];
}

type Ended = Exclude<Outcome, { status: 'running' } | { status: 'continuedAsNew' }>;

/** Custom status may have 16 KB of UTF-16. */
const customStatusLimit = 8 * 1024;

/**
 * One episode of one instance: read the messages that are due, let the app replay, and write everything that
 * follows (history, tasks, timers, children, the word to the parent, the messages that were read) in one
 * transaction. If the process dies before, the same messages are read again; after, they are gone.
 */
export class Episode {
  readonly #instanceId: string;
  readonly #context: EpisodeContext;
  #effects: Effects | undefined;

  constructor(instanceId: string, context: EpisodeContext) {
    this.#instanceId = instanceId;
    this.#context = context;
  }

  /** Runs and writes the episode; undefined when there was nothing to do. */
  async run(): Promise<Effects | undefined> {
    const { store, clock } = this.#context;
    const row = store.instance(this.#instanceId);
    const messages = store.inbox(this.#instanceId, clock.now().getTime());
    if (messages.length === 0) return undefined;
    const past = row ? store.history(row.instanceId, row.executionId) : [];
    const fresh = row && !isOver(row) ? relevant(row, past, messages) : [];
    if (!row || fresh.length === 0) {
      store.transaction(() => messages.forEach((message) => store.removeMessage(message.seq)));
      return undefined;
    }
    const at = new Date(Math.max(clock.now().getTime(), ...[past.at(-1), ...fresh].map(timeOf)));
    const episode = [newEvent('OrchestratorStarted', at, {}), ...fresh.map((event) => stamped(event, at))];
    const result = await this.#decide(row, past, episode);
    this.#effects = { row, tasks: [], wake: [], nextDue: undefined, mistakes: result.mistakes };
    return store.transaction(() => {
      const current = store.instance(this.#instanceId);
      // Purged or started anew while the app was asked: nothing of this is wanted any more.
      if (current?.executionId !== row.executionId || isOver(current)) return undefined;
      for (const message of messages) store.removeMessage(message.seq);
      this.#write(row, past.length, at, episode, result);
      return this.#effects;
    });
  }

  /** Asks the app, unless the instance was terminated, and replays what it answers. */
  async #decide(
    row: InstanceRow,
    past: readonly HistoryEvent[],
    episode: readonly HistoryEvent[],
  ): Promise<Replay & { customStatus: string | null }> {
    const { customStatus } = row;
    const terminated = episode.find((event) => event.EventType === eventTypes.ExecutionTerminated);
    if (terminated) {
      const outcome: Outcome = { status: 'terminated', reason: terminated.Input };
      return { decisions: [], outcome, suspended: false, carryOver: [], mistakes: [], customStatus };
    }
    const history = [...past.map((event) => ({ ...event, IsPlayed: true })), ...episode];
    const { state, threw, raw } = await this.#context.functions.orchestrate(row, history);
    const { executionId, name } = row;
    const result = replay({ executionId, name, state, threw }, history);
    const twice = actionsYieldedTwice(raw);
    if (twice.length > 0) result.mistakes.push(yieldedTwiceAdvice(twice));
    // Null never clears what was set before.
    if (state.customStatus === null || state.customStatus === undefined) return { ...result, customStatus };
    const text = JSON.stringify(state.customStatus);
    if (text.length <= customStatusLimit) return { ...result, customStatus: text };
    const reason = `Orchestrator function '${name}' failed: its custom status is larger than 16 KB in UTF-16.`;
    const outcome: Outcome = { status: 'failed', reason, details: reason };
    return { ...result, decisions: [], outcome, customStatus };
  }

  #write(
    row: InstanceRow,
    from: number,
    at: Date,
    episode: readonly HistoryEvent[],
    result: Replay & { customStatus: string | null },
  ): void {
    const { store } = this.#context;
    const { outcome, customStatus } = result;
    const events: HistoryEvent[] = [...episode];
    for (const decision of result.decisions) events.push(this.#carryOut(row, at, decision));
    events.push(newEvent('OrchestratorCompleted', at, {}));
    const next = { ...row, customStatus, updatedAt: at.getTime() };
    switch (outcome.status) {
      case 'running':
        store.appendHistory(row.instanceId, row.executionId, from, events);
        store.putInstance({ ...next, status: result.suspended ? 'Suspended' : 'Running' });
        break;
      case 'continuedAsNew':
        this.#startOver(next, outcome.input, result.carryOver);
        break;
      case 'completed':
      case 'failed':
      case 'terminated':
        events.push(this.#end(next, at, outcome));
        store.appendHistory(row.instanceId, row.executionId, from, events);
        break;
    }
  }

  /** Puts one decision to work, and answers the event that remembers it. */
  #carryOut(row: InstanceRow, at: Date, decision: Decision): HistoryEvent {
    const { instanceId, executionId, traceParent } = row;
    const { id } = decision;
    switch (decision.kind) {
      case 'activity': {
        const { name, input } = decision;
        if (this.#context.functions.hasActivity(name)) {
          const task = { instanceId, executionId, taskId: id, name, input, traceParent };
          this.#context.store.putTask(task);
          this.#effects?.tasks.push(task);
        } else {
          // The real host leaves such an instance Running for ever. Better to be told.
          const Reason = `Activity function '${name}' failed:  The function '${name}' doesn't exist, is disabled, or is not an activity function.`;
          this.#send(row, newEvent('TaskFailed', at, { TaskScheduledId: id, Reason, Details: Reason }));
        }
        return newEvent('TaskScheduled', at, { Name: name, Input: input }, id);
      }
      case 'timer': {
        const FireAt = decision.fireAt.toISOString();
        this.#send(row, newEvent('TimerFired', decision.fireAt, { TimerId: id, FireAt }), decision.fireAt);
        return newEvent('TimerCreated', at, { FireAt }, id);
      }
      case 'child': {
        const { name, input, version } = decision;
        const problem = this.#startChild(row, decision);
        if (problem) {
          const Reason = `Orchestrator function '${name}' failed: ${problem}`;
          const body = { TaskScheduledId: id, Reason, Details: Reason };
          this.#send(row, newEvent('SubOrchestrationInstanceFailed', at, body));
        }
        const created = { Name: name, InstanceId: decision.instanceId, Input: input, Version: version };
        return newEvent('SubOrchestrationInstanceCreated', at, created, id);
      }
    }
  }

  /** Starts a child orchestration; answers what stands against it. */
  #startChild(row: InstanceRow, decision: Extract<Decision, { kind: 'child' }>): string | undefined {
    const { store, functions, defaultVersion } = this.#context;
    const { instanceId, name, input } = decision;
    const parent = row.parent ? (JSON.parse(row.parent) as ParentInstance) : undefined;
    const problem = instanceIdProblem(instanceId);
    if (problem) return problem;
    if (!functions.hasOrchestrator(name)) {
      return `the function '${name}' doesn't exist, is disabled, or is not an orchestrator function.`;
    }
    if (instanceId === row.instanceId || instanceId === parent?.InstanceId) {
      return `a child must not have the instance id of its own parents ('${instanceId}').`;
    }
    const existing = store.instance(instanceId);
    if (existing && !isOver(existing)) return `an instance '${instanceId}' is ${existing.status} already.`;
    createInstance(store, this.#context.clock.now(), {
      instanceId,
      name,
      input,
      version: decision.version ?? defaultVersion,
      traceParent: row.traceParent,
      parent: { InstanceId: row.instanceId, ExecutionId: row.executionId, TaskScheduledId: decision.id },
    });
    this.#effects?.wake.push(instanceId);
    return undefined;
  }

  #startOver(row: InstanceRow, input: string, carryOver: readonly HistoryEvent[]): void {
    const { store } = this.#context;
    const { instanceId, name, version, customStatus, traceParent } = row;
    const parent = row.parent ? (JSON.parse(row.parent) as ParentInstance) : undefined;
    const now = this.#context.clock.now();
    const waiting = store.inbox(instanceId, Number.MAX_SAFE_INTEGER).filter(isForAnyExecution);
    createInstance(store, now, {
      instanceId,
      name,
      input,
      version: version ?? undefined,
      parent,
      traceParent,
    });
    const created = store.instance(instanceId);
    if (created) store.putInstance({ ...created, status: 'Running', customStatus });
    for (const event of carryOver) store.send(instanceId, null, event, now.getTime());
    for (const message of waiting) store.send(instanceId, null, message.event, now.getTime());
    this.#effects?.wake.push(instanceId);
  }

  /** Writes the end of the instance, tells its parent, and answers the closing event. */
  #end(row: InstanceRow, at: Date, outcome: Ended): HistoryEvent {
    const { store } = this.#context;
    const Result = outcome.status === 'completed' ? outcome.output : JSON.stringify(outcome.reason);
    const status = ({ completed: 'Completed', failed: 'Failed', terminated: 'Terminated' } as const)[
      outcome.status
    ];
    store.putInstance({ ...row, status, output: Result });
    store.dropWork(row.instanceId);
    if (row.parent) this.#tellParent(JSON.parse(row.parent) as ParentInstance, at, outcome);
    return newEvent('ExecutionCompleted', at, { OrchestrationStatus: status, Result });
  }

  #tellParent(parent: ParentInstance, at: Date, outcome: Ended): void {
    const { TaskScheduledId } = parent;
    const event =
      outcome.status === 'completed'
        ? newEvent('SubOrchestrationInstanceCompleted', at, { TaskScheduledId, Result: outcome.output })
        : newEvent('SubOrchestrationInstanceFailed', at, {
            TaskScheduledId,
            Reason: outcome.reason,
            Details: outcome.status === 'failed' ? outcome.details : 'The instance was terminated.',
            FailureDetails: outcome.status === 'failed' ? outcome.failureDetails : undefined,
          });
    this.#context.store.send(
      parent.InstanceId,
      parent.ExecutionId,
      event,
      this.#context.clock.now().getTime(),
    );
    this.#effects?.wake.push(parent.InstanceId);
  }

  #send(row: InstanceRow, event: HistoryEvent, due = this.#context.clock.now()): void {
    this.#context.store.send(row.instanceId, row.executionId, event, due.getTime());
    const effects = this.#effects;
    if (!effects) return;
    if (due.getTime() <= this.#context.clock.now().getTime()) effects.wake.push(row.instanceId);
    else effects.nextDue = Math.min(effects.nextDue ?? Number.POSITIVE_INFINITY, due.getTime());
  }
}

/** The events worth an episode: for this execution, and not told before. The start comes first. */
function relevant(
  row: InstanceRow,
  past: readonly HistoryEvent[],
  messages: readonly Message[],
): HistoryEvent[] {
  const open = new Set(past.filter((event) => event.EventId >= 0).map((event) => event.EventId));
  for (const event of past) open.delete(completedTaskId(event) ?? -1);
  const fresh = messages
    .filter((message) => message.executionId === null || message.executionId === row.executionId)
    .map((message) => message.event)
    .filter((event) => {
      if (isEvent(event, 'ExecutionStarted')) return past.length === 0;
      const taskId = completedTaskId(event);
      return taskId === undefined || open.delete(taskId);
    });
  return fresh.sort(
    (a, b) => Number(isEvent(b, 'ExecutionStarted')) - Number(isEvent(a, 'ExecutionStarted')),
  );
}

function isForAnyExecution(message: Message): boolean {
  return message.executionId === null;
}

/** When the event says that it happened; a timer's when it was meant to fire. */
function timeOf(event: HistoryEvent | undefined): number {
  return event ? Date.parse(event.Timestamp) : 0;
}

/** A timer that fires late has fired now. */
function stamped(event: HistoryEvent, at: Date): HistoryEvent {
  return isEvent(event, 'TimerFired') ? { ...event, Timestamp: at.toISOString() } : event;
}
