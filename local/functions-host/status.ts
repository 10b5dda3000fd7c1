import { completedTaskId, type EventName, eventTypes, type HistoryEvent } from './history.ts';
import type { InstanceRow } from './store.ts';

export interface StatusOptions {
  /** Default true. */
  showInput?: boolean;
  showHistory?: boolean;
  showHistoryOutput?: boolean;
}

/** The status of an instance as the Durable HTTP API shows it. Times are whole seconds in UTC. */
export function statusDocument(
  row: InstanceRow,
  options: StatusOptions,
  history: () => HistoryEvent[],
): Record<string, unknown> {
  return {
    name: row.name,
    instanceId: row.instanceId,
    runtimeStatus: row.status,
    input: options.showInput === false ? null : JSON.parse(row.input),
    customStatus: row.customStatus === null ? null : JSON.parse(row.customStatus),
    output: row.output === null ? null : JSON.parse(row.output),
    createdTime: wholeSeconds(row.createdAt),
    lastUpdatedTime: wholeSeconds(row.updatedAt),
    ...(options.showHistory ? { historyEvents: historyDocument(history(), options) } : {}),
  };
}

function wholeSeconds(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z');
}

const names = new Map(Object.entries(eventTypes).map(([name, type]) => [type, name as EventName]));

/** History for people: starts of tasks are folded into their ends, the machinery's own events left out. */
function historyDocument(
  history: readonly HistoryEvent[],
  options: StatusOptions,
): Record<string, unknown>[] {
  const starts = new Map<number, HistoryEvent>();
  const lines: Record<string, unknown>[] = [];
  for (const event of history) {
    switch (event.EventType) {
      case eventTypes.TaskScheduled:
      case eventTypes.SubOrchestrationInstanceCreated:
      case eventTypes.TimerCreated:
        starts.set(event.EventId, event);
        break;
      case eventTypes.OrchestratorStarted:
      case eventTypes.OrchestratorCompleted:
        break;
      default:
        lines.push(historyLine(event, starts, options));
    }
  }
  return lines;
}

function historyLine(
  event: HistoryEvent,
  starts: ReadonlyMap<number, HistoryEvent>,
  options: StatusOptions,
): Record<string, unknown> {
  const line: Record<string, unknown> = { EventType: names.get(event.EventType), Timestamp: event.Timestamp };
  const taskId = completedTaskId(event);
  const start = taskId === undefined ? undefined : starts.get(taskId);
  if (start) {
    line['ScheduledTime'] = start.Timestamp;
    if ('Name' in start) line['FunctionName'] = start.Name;
  }
  if (event.EventType === eventTypes.ExecutionStarted) line['FunctionName'] = event.Name;
  for (const key of ['Reason', 'Details', 'FireAt', 'OrchestrationStatus'] as const) {
    if (key in event) line[key] = (event as unknown as Record<string, unknown>)[key];
  }
  if (event.EventType === eventTypes.EventRaised) line['Name'] = event.Name;
  if (event.EventType === eventTypes.ExecutionTerminated) line['Reason'] = event.Input;
  if (options.showHistoryOutput) {
    if ('Result' in event) line['Result'] = event.Result === null ? null : JSON.parse(event.Result);
    if (event.EventType === eventTypes.EventRaised) line['Input'] = JSON.parse(event.Input);
  }
  if (options.showInput !== false && event.EventType === eventTypes.ExecutionStarted) {
    line['Input'] = JSON.parse(event.Input);
  }
  return line;
}
