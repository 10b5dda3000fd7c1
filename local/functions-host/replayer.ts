import type { Action, OrchestratorState, RetryPolicy } from './actions.ts';
import { type EventOf, eventTypes, type FailureDetails, type HistoryEvent, isEvent } from './history.ts';
import { allOf, anyOf, Signal } from './signal.ts';

/**
 * The host's half of the out-of-process Durable protocol, as a pure function of a history and of what the
 * library in the app answered for it. It walks the actions one after the other as the extension does, gives
 * each task the number that the library gave it, and feeds the history to the open tasks; what the history
 * does not know yet is the new work.
 *
 * The rules it keeps are in README.md, "The protocol". It reads no clock: the time is the history's.
 */
export type Decision =
  | { kind: 'activity'; id: number; name: string; input: string }
  | { kind: 'timer'; id: number; fireAt: Date }
  | {
      kind: 'child';
      id: number;
      name: string;
      instanceId: string;
      input: string;
      version?: string | undefined;
    };

export type Outcome =
  | { status: 'running' }
  | { status: 'completed'; output: string }
  | { status: 'continuedAsNew'; input: string }
  | { status: 'terminated'; reason: string }
  | { status: 'failed'; reason: string; details: string; failureDetails?: FailureDetails | undefined };

export interface Replay {
  /** Work that the history does not hold yet, in the order of the ids. */
  decisions: Decision[];
  outcome: Outcome;
  suspended: boolean;
  /** External events that came after continueAsNew: they belong to the next execution. */
  carryOver: EventOf<'EventRaised'>[];
  /** Mistakes of the app that this history shows, in words for a person. */
  mistakes: string[];
}

export interface Execution {
  executionId: string;
  name: string;
  state: OrchestratorState;
  /** The library threw: the orchestrator failed, whatever else the state says. */
  threw: boolean;
}

/** Timers over `longest` are made of hops, as by the extension with Azure Storage. The library is told both. */
export const timerLimits = { longest: 6 * 86_400_000, hop: 3 * 86_400_000 } as const;

/** Replays `history` (with this episode's events at its end) against the actions that the library answered. */
export function replay(execution: Execution, history: readonly HistoryEvent[]): Replay {
  return new Replayer(execution).run(history);
}

class NonDeterminism extends Error {}
class Unsupported extends Error {}

class Replayer {
  readonly #execution: Execution;
  #now = 0;
  #nextId = 0;
  #nextAction = 0;
  #walked = false;
  #suspended = false;
  #terminated: string | undefined;
  #continueAsNew: { input: string } | undefined;
  readonly #open = new Map<number, Signal>();
  #pending = new Map<number, Decision>();
  #parked = new Map<number, Decision>();
  #waitingForResume: HistoryEvent[] = [];
  readonly #listeners = new Map<string, Signal[]>();
  readonly #buffered = new Map<string, number>();
  readonly #carryOver: EventOf<'EventRaised'>[] = [];
  readonly #mistakes = new Set<string>();

  constructor(execution: Execution) {
    this.#execution = execution;
  }

  run(history: readonly HistoryEvent[]): Replay {
    try {
      for (const event of history) {
        if (isEvent(event, 'OrchestratorStarted')) this.#now = Date.parse(event.Timestamp);
        else this.#process(event);
      }
    } catch (error) {
      if (error instanceof NonDeterminism || error instanceof Unsupported) return this.#broken(error);
      throw error;
    }
    return {
      decisions: [...this.#pending.values()],
      outcome: this.#outcome(),
      suspended: this.#suspended,
      carryOver: this.#carryOver,
      mistakes: [...this.#mistakes],
    };
  }

  #broken(error: Error): Replay {
    const reason = `Orchestrator function '${this.#execution.name}' failed: ${error.message}`;
    const outcome: Outcome = { status: 'failed', reason, details: error.message };
    return { decisions: [], outcome, suspended: false, carryOver: [], mistakes: [...this.#mistakes] };
  }

  #outcome(): Outcome {
    if (this.#terminated !== undefined) return { status: 'terminated', reason: this.#terminated };
    const { name, state, threw } = this.#execution;
    // An orchestrator that has returned is Running until each task it started is closed.
    if (!this.#walked || this.#open.size > 0) return { status: 'running' };
    if (threw) {
      const reason = `Orchestrator function '${name}' failed: ${state.error ?? ''}`;
      const details = `Message: ${state.error ?? ''}, StackTrace: `;
      return { status: 'failed', reason, details, failureDetails: state.failureDetails };
    }
    if (!state.isDone) return { status: 'running' };
    if (this.#continueAsNew) return { status: 'continuedAsNew', input: this.#continueAsNew.input };
    return { status: 'completed', output: toJson(state.output) };
  }

  #process(event: HistoryEvent): void {
    if (this.#suspended && !isEvent(event, 'ExecutionResumed') && !isEvent(event, 'ExecutionTerminated')) {
      if (!isEvent(event, 'ExecutionSuspended')) this.#waitingForResume.push(event);
      return;
    }
    switch (event.EventType) {
      case eventTypes.ExecutionStarted:
        return this.#walk();
      case eventTypes.TaskScheduled:
        return this.#confirm('activity', event.EventId, event.Name);
      case eventTypes.SubOrchestrationInstanceCreated:
        return this.#confirm('child', event.EventId, event.Name);
      case eventTypes.TimerCreated:
        return this.#confirm('timer', event.EventId);
      case eventTypes.TaskCompleted:
      case eventTypes.SubOrchestrationInstanceCompleted:
        return this.#close(event.TaskScheduledId, true);
      case eventTypes.TaskFailed:
      case eventTypes.SubOrchestrationInstanceFailed:
        return this.#close(event.TaskScheduledId, false);
      case eventTypes.TimerFired:
        return this.#close(event.TimerId, true);
      case eventTypes.EventRaised:
        return this.#raise(event);
      case eventTypes.ExecutionTerminated:
        this.#terminated ??= event.Input;
        return;
      case eventTypes.ExecutionSuspended:
        return this.#suspend();
      case eventTypes.ExecutionResumed:
        return this.#resume();
      default:
        return;
    }
  }

  /** Starts actions in turn, waiting for each; how one ended is the app's business, not ours. */
  #walk(): void {
    const { actions } = this.#execution.state;
    for (;;) {
      const action = actions[this.#nextAction++];
      if (!action) break;
      const signal = this.#start(action);
      if (!signal.settled) return signal.whenSettled(() => this.#walk());
    }
    this.#walked = true;
  }

  #start(action: Action): Signal {
    switch (action.kind) {
      case 'activity':
        return this.#withRetry(action.retry, action.name, () => {
          // The library has made JSON text of a string already.
          const input = typeof action.input === 'string' ? action.input : toJson(action.input);
          return this.#schedule({ kind: 'activity', id: this.#takeId(), name: action.name, input });
        });
      case 'child':
        return this.#withRetry(action.retry, action.name, () => this.#startChild(action));
      case 'timer':
        return this.#startTimer(action.fireAt.getTime(), action.isCanceled);
      case 'event':
        return this.#listen(action.name);
      case 'continueAsNew': {
        this.#continueAsNew = { input: toJson(action.input) };
        const done = new Signal();
        done.settle(true);
        return done;
      }
      case 'any':
        return anyOf(this.#startParts(action.actions));
      case 'all':
        return allOf(this.#startParts(action.actions));
      case 'unsupported':
        throw new Unsupported(
          `it uses ${action.what}, which the local Functions host does not run. Use an activity instead.`,
        );
    }
  }

  #startParts(actions: readonly Action[]): Signal[] {
    const parts = actions.map((action) => this.#start(action));
    for (const [index, part] of parts.entries()) {
      // A timer cannot fail; one that is cancelled only looks as if it had.
      if (actions[index]?.kind === 'timer') continue;
      part.whenSettled(() => {
        const siblings = parts.filter((other) => other !== part);
        if (!part.succeeded && siblings.some((other) => other.retries && !other.settled)) {
          this.#mistakes.add(
            'a child of a Task.all or Task.any failed while a sibling may still be retried; on the real host ' +
              'the numbers of the tasks can then drift apart and the instance hangs. Let activities that are ' +
              'fanned out catch their errors and return them as results.',
          );
        }
      });
    }
    return parts;
  }

  #startChild(action: Extract<Action, { kind: 'child' }>): Signal {
    const id = this.#takeId();
    const { name, version } = action;
    const instanceId = action.instanceId?.trim() ? action.instanceId : `${this.#execution.executionId}:${id}`;
    return this.#schedule({ kind: 'child', id, name, instanceId, input: toJson(action.input), version });
  }

  #startTimer(fireAt: number, isCanceled: boolean): Signal {
    const whole = new Signal();
    const hop = (): void => {
      const tooLong = fireAt - this.#now > timerLimits.longest;
      const at = tooLong ? this.#now + timerLimits.hop : fireAt;
      const id = this.#takeId();
      const timer = this.#schedule({ kind: 'timer', id, fireAt: new Date(at) });
      // A cancelled timer has its number and its event, but nobody waits for it.
      if (isCanceled) this.#open.delete(id);
      timer.whenSettled(() => (tooLong ? hop() : whole.settle(true)));
    };
    hop();
    if (isCanceled) whole.settle(false);
    return whole;
  }

  #withRetry(policy: RetryPolicy | undefined, name: string, attempt: () => Signal): Signal {
    if (!policy) return attempt();
    if (policy.retryTimeoutInMilliseconds !== undefined) {
      this.#mistakes.add(
        `'${name}' is called with retryTimeoutInMilliseconds; on the real host the instance hangs when that ` +
          'time is over. Remove it and bound the retries by maxNumberOfAttempts.',
      );
    }
    const whole = new Signal(true);
    const expires = this.#now + (policy.retryTimeoutInMilliseconds ?? Number.POSITIVE_INFINITY);
    const run = (attempts: number): void => {
      const task = attempt();
      task.whenSettled(() => {
        if (task.succeeded) return whole.settle(true);
        if (this.#now >= expires) return whole.settle(false);
        // Even the last failure is followed by a timer, with no delay; the library counts it too.
        const last = attempts >= policy.maxNumberOfAttempts;
        const delay = last ? 0 : retryDelay(policy, attempts);
        // One timer however long, not hops: the library takes one number for it.
        const timer = this.#schedule({
          kind: 'timer',
          id: this.#takeId(),
          fireAt: new Date(this.#now + delay),
        });
        timer.whenSettled(() => (last ? whole.settle(false) : run(attempts + 1)));
      });
    };
    run(1);
    return whole;
  }

  #listen(name: string): Signal {
    const key = name.toLowerCase();
    const signal = new Signal();
    const buffered = this.#buffered.get(key) ?? 0;
    if (buffered > 0) {
      this.#buffered.set(key, buffered - 1);
      signal.settle(true);
    } else {
      const listeners = this.#listeners.get(key) ?? [];
      listeners.push(signal);
      this.#listeners.set(key, listeners);
    }
    return signal;
  }

  #raise(event: EventOf<'EventRaised'>): void {
    if (this.#continueAsNew) {
      this.#carryOver.push(event);
      return;
    }
    const key = event.Name.toLowerCase();
    // The newest listener is served first, by the library as well.
    const listener = this.#listeners.get(key)?.pop();
    if (listener) listener.settle(true);
    else this.#buffered.set(key, (this.#buffered.get(key) ?? 0) + 1);
  }

  #takeId(): number {
    return this.#nextId++;
  }

  #schedule(decision: Decision): Signal {
    this.#pending.set(decision.id, decision);
    const signal = new Signal();
    this.#open.set(decision.id, signal);
    return signal;
  }

  #confirm(kind: Decision['kind'], id: number, name?: string): void {
    const decision = this.#pending.get(id);
    const known = decision && decision.kind !== 'timer' ? decision.name : undefined;
    if (!decision || decision.kind !== kind || (name !== undefined && known !== name)) {
      const was = name === undefined ? kind : `${kind} '${name}'`;
      const is = decision ? `${decision.kind}${known === undefined ? '' : ` '${known}'`}` : 'nothing';
      throw new NonDeterminism(
        `its code is not deterministic: the history has ${was} as task ${id}, this run has ${is} there. Was ` +
          'the orchestrator changed while an instance ran, does it read a clock, a random number or a setting, ' +
          'or was a task retried inside a Task.any or Task.all?',
      );
    }
    this.#pending.delete(id);
  }

  #close(id: number, succeeded: boolean): void {
    const signal = this.#open.get(id);
    this.#open.delete(id);
    signal?.settle(succeeded);
  }

  /** Work that was decided but not written yet waits for the resume, like the events that come meanwhile. */
  #suspend(): void {
    this.#suspended = true;
    this.#parked = this.#pending;
    this.#pending = new Map();
  }

  #resume(): void {
    if (!this.#suspended) return;
    this.#suspended = false;
    this.#pending = this.#parked;
    this.#parked = new Map();
    for (const event of this.#waitingForResume.splice(0)) this.#process(event);
  }
}

/** Milliseconds to wait after the failed attempt number `attempts` (from 1). */
function retryDelay(policy: RetryPolicy, attempts: number): number {
  const delay = policy.firstRetryIntervalInMilliseconds * (policy.backoffCoefficient ?? 1) ** (attempts - 1);
  return Math.min(delay, policy.maxRetryIntervalInMilliseconds ?? timerLimits.longest);
}

function toJson(value: unknown): string {
  return JSON.stringify(value ?? null);
}
