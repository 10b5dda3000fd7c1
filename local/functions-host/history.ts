/**
 * The events of an orchestration as the out-of-process Durable protocol spells them. The official replay in
 * `durable-functions` reads these very property names, so they are not ours to change. `Input` and `Result`
 * hold JSON text; `Timestamp` and `FireAt` are ISO 8601 in UTC.
 */
export const eventTypes = {
  ExecutionStarted: 0,
  ExecutionCompleted: 1,
  ExecutionTerminated: 3,
  TaskScheduled: 4,
  TaskCompleted: 5,
  TaskFailed: 6,
  SubOrchestrationInstanceCreated: 7,
  SubOrchestrationInstanceCompleted: 8,
  SubOrchestrationInstanceFailed: 9,
  TimerCreated: 10,
  TimerFired: 11,
  OrchestratorStarted: 12,
  OrchestratorCompleted: 13,
  EventRaised: 15,
  ExecutionSuspended: 19,
  ExecutionResumed: 20,
} as const;

type Types = typeof eventTypes;
export type EventName = keyof Types;

interface Envelope<N extends EventName> {
  EventType: Types[N];
  EventId: number;
  IsPlayed: boolean;
  Timestamp: string;
}

/** Where the outcome of a child orchestration goes. */
export interface ParentInstance {
  InstanceId: string;
  ExecutionId: string;
  TaskScheduledId: number;
}

/** What an exception-properties provider of the app told about a failure. */
export interface FailureDetails {
  ErrorType: string;
  ErrorMessage: string;
  StackTrace?: string | undefined;
  IsNonRetriable: boolean;
  Properties?: unknown;
  InnerFailure?: FailureDetails | undefined;
}

interface Failure {
  TaskScheduledId: number;
  Reason: string;
  Details: string;
  FailureDetails?: FailureDetails | undefined;
}

interface Bodies {
  ExecutionStarted: {
    Name: string;
    Input: string;
    Version?: string | undefined;
    OrchestrationInstance: { InstanceId: string; ExecutionId: string };
    ParentInstance?: ParentInstance | undefined;
  };
  ExecutionCompleted: { OrchestrationStatus: string; Result: string | null };
  ExecutionTerminated: { Input: string };
  TaskScheduled: { Name: string; Input: string };
  TaskCompleted: { TaskScheduledId: number; Result: string };
  TaskFailed: Failure;
  SubOrchestrationInstanceCreated: {
    Name: string;
    InstanceId: string;
    Input: string;
    Version?: string | undefined;
  };
  SubOrchestrationInstanceCompleted: { TaskScheduledId: number; Result: string };
  SubOrchestrationInstanceFailed: Failure;
  TimerCreated: { FireAt: string };
  TimerFired: { TimerId: number; FireAt: string };
  OrchestratorStarted: object;
  OrchestratorCompleted: object;
  EventRaised: { Name: string; Input: string };
  ExecutionSuspended: { Reason: string };
  ExecutionResumed: { Reason: string };
}

export type EventOf<N extends EventName> = Envelope<N> & Bodies[N];
export type HistoryEvent = { [N in EventName]: EventOf<N> }[EventName];

/** Makes an event; `id` is the number of the task that it creates, -1 for all others. */
export function newEvent<N extends EventName>(
  name: N,
  at: Date,
  body: Bodies[N],
  id = -1,
): EventOf<N> & HistoryEvent {
  const envelope = { EventType: eventTypes[name], EventId: id, IsPlayed: false, Timestamp: at.toISOString() };
  return { ...envelope, ...body } as EventOf<N> & HistoryEvent;
}

/** Narrows an event to the kind that is named. */
export function isEvent<N extends EventName>(
  event: HistoryEvent,
  name: N,
): event is EventOf<N> & HistoryEvent {
  return event.EventType === eventTypes[name];
}

/** The number of the task whose end the event reports, if it reports one. */
export function completedTaskId(event: HistoryEvent): number | undefined {
  switch (event.EventType) {
    case eventTypes.TaskCompleted:
    case eventTypes.TaskFailed:
    case eventTypes.SubOrchestrationInstanceCompleted:
    case eventTypes.SubOrchestrationInstanceFailed:
      return event.TaskScheduledId;
    case eventTypes.TimerFired:
      return event.TimerId;
    default:
      return undefined;
  }
}
