import { type OrchestratorState, parseState } from './actions.ts';
import { eventTypes, type HistoryEvent } from './history.ts';
import { InvocationFailure, type InvocationResult } from './invoke.ts';
import { timerLimits } from './replayer.ts';
import type { TypedData } from './typedData.ts';

/** Before the JSON of the state in the message with which a failed orchestrator is reported. */
const outOfProcMark = '\n\n$OutOfProcData$:';

/** The trigger of an orchestrator: its history with this episode's events, and the limits it must know. */
export function orchestrationTrigger(instanceId: string, history: readonly HistoryEvent[]): TypedData {
  const started = history.find((event) => event.EventType === eventTypes.ExecutionStarted);
  if (!started) throw new Error(`The history of ${instanceId} does not begin with its start.`);
  return {
    string: JSON.stringify({
      history,
      input: JSON.parse(started.Input),
      instanceId,
      isReplaying: false,
      parentInstanceId: started.ParentInstance?.InstanceId ?? null,
      // Replay schema V3: the library splits long timers itself, and refuses locks.
      upperSchemaVersion: 1,
      upperSchemaVersionNew: 2,
      longRunningTimerIntervalDuration: dayTime(timerLimits.hop),
      maximumShortTimerDuration: dayTime(timerLimits.longest),
      defaultHttpAsyncRequestSleepTimeMillseconds: 30_000,
    }),
  };
}

export interface Answer {
  state: OrchestratorState;
  /** The orchestrator failed. */
  threw: boolean;
  /** The library's state as objects, where it can be had. */
  raw: unknown;
}

/** Calls an orchestrator and reads its answer, also the one that travels inside an error. */
export async function askOrchestrator(call: () => Promise<InvocationResult>): Promise<Answer> {
  let result: InvocationResult;
  try {
    result = await call();
  } catch (error) {
    if (!(error instanceof InvocationFailure)) throw error;
    const mark = error.reason.indexOf(outOfProcMark);
    if (mark >= 0) {
      return read(JSON.parse(error.reason.slice(mark + outOfProcMark.length)), true);
    }
    // Not the orchestrator but the library gave up: nothing is known of its actions.
    return broken(error.reason);
  }
  const { returnValue, raw } = result;
  return read(typeof returnValue?.json === 'string' ? JSON.parse(returnValue.json) : raw, false, raw);
}

function read(json: unknown, threw: boolean, raw?: unknown): Answer {
  try {
    return { state: parseState(json), threw, raw };
  } catch (error) {
    return broken(`the answer of durable-functions is not understood: ${String(error)}`);
  }
}

function broken(reason: string): Answer {
  const state = { isDone: false, actions: [], output: null, customStatus: null, error: reason };
  return { state, threw: true, raw: undefined };
}

/** A .NET time span of whole days: `3.00:00:00`. */
function dayTime(ms: number): string {
  return `${ms / 86_400_000}.00:00:00`;
}
