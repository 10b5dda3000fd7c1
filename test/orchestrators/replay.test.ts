import { readdirSync, readFileSync } from 'node:fs';
import type { OrchestrationContext, Task } from 'durable-functions';
import { describe, expect, it } from 'vitest';
import { applyRetention } from '../../orchestrators/applyRetention.ts';
import { archiveMachine } from '../../orchestrators/archiveMachine.ts';
import { awaitCondition } from '../../orchestrators/awaitCondition.ts';
import { backUpMachine } from '../../orchestrators/backUpMachine.ts';
import { checkRepository } from '../../orchestrators/checkRepository.ts';
import { collectGarbage } from '../../orchestrators/collectGarbage.ts';
import { removeData } from '../../orchestrators/removeData.ts';
import { rescanRepository } from '../../orchestrators/rescanRepository.ts';
import { restoreDisks } from '../../orchestrators/restoreDisks.ts';
import { runPolicy } from '../../orchestrators/runPolicy.ts';
import { tendSnapshots } from '../../orchestrators/tendSnapshots.ts';

/**
 * Instances that were started before a deployment go on after it: the new code is replayed against their history and must
 * ask for the same things in the same order. These histories were recorded from real runs (record.ts), one for each
 * orchestrator, and for a branch of one another, `<orchestrator>-<branch>`.
 */
type Orchestrator = (context: OrchestrationContext) => Generator<Task, unknown, unknown>;
const ORCHESTRATORS: Readonly<Record<string, Orchestrator>> = {
  applyRetention,
  archiveMachine,
  awaitCondition,
  backUpMachine,
  checkRepository,
  collectGarbage,
  removeData,
  rescanRepository,
  restoreDisks,
  runPolicy,
  tendSnapshots,
};

interface HistoryEvent {
  readonly EventType: number;
  readonly EventId: number;
  readonly Timestamp: string;
  readonly Name?: string;
  readonly Input?: string;
  readonly Result?: string;
  readonly TaskScheduledId?: number;
  readonly TimerId?: number;
}
const STARTED = 0;
const TASK_SCHEDULED = 4;
const TASK_COMPLETED = 5;
const CHILD_CREATED = 7;
const CHILD_COMPLETED = 8;
const TIMER_CREATED = 10;
const TIMER_FIRED = 11;
const EPISODE = 12;

interface Asked {
  readonly id: number;
  readonly what: string;
  readonly input: unknown;
}

/** What the recorded run asked for, by task id, and when each was answered with what. */
function recorded(history: readonly HistoryEvent[]) {
  const asked: Asked[] = [];
  const answers = new Map<number, { readonly value: unknown; readonly at: string }>();
  let episode = '';
  for (const event of history) {
    const { EventType: type, EventId: id, Name = '', Input, Result } = event;
    const input = Input === undefined ? null : (JSON.parse(Input) as unknown);
    if (type === EPISODE) episode = event.Timestamp;
    else if (type === TASK_SCHEDULED) asked.push({ id, what: `activity ${Name}`, input });
    else if (type === CHILD_CREATED) asked.push({ id, what: `child ${Name}`, input });
    else if (type === TIMER_CREATED) asked.push({ id, what: 'timer', input: null });
    else if (type === TASK_COMPLETED || type === CHILD_COMPLETED) {
      answers.set(event.TaskScheduledId ?? -1, { value: JSON.parse(Result ?? 'null'), at: episode });
    } else if (type === TIMER_FIRED) answers.set(event.TimerId ?? -1, { value: null, at: episode });
  }
  const input = JSON.parse(
    history.find(({ EventType }) => EventType === STARTED)?.Input ?? 'null',
  ) as unknown;
  return { asked: asked.sort((a, b) => a.id - b.id), answers, input };
}

/** Replays an orchestrator against the answers of a recorded run; returns what it asked for. */
function replay(orchestrator: Orchestrator, history: readonly HistoryEvent[]): Asked[] {
  const { answers, input } = recorded(history);
  const asked: Asked[] = [];
  let now = new Date(history[0]?.Timestamp ?? 0);
  const ask = (what: string, askedInput: unknown): { ids: number[]; all: boolean } => {
    asked.push({ id: asked.length, what, input: JSON.parse(JSON.stringify(askedInput)) as unknown });
    return { ids: [asked.length - 1], all: false };
  };
  const df = {
    getInput: () => input,
    get currentUtcDateTime() {
      return now;
    },
    callActivity: (name: string, of: unknown) => ask(`activity ${name}`, of),
    callSubOrchestrator: (name: string, of: unknown) => ask(`child ${name}`, of),
    createTimer: () => ask('timer', null),
    continueAsNew: () => undefined,
    Task: { all: (tasks: { ids: number[] }[]) => ({ ids: tasks.flatMap(({ ids }) => ids), all: true }) },
  };
  const run = orchestrator({ df } as unknown as OrchestrationContext);
  let step = run.next();
  while (!step.done) {
    const { ids, all } = step.value as unknown as { ids: number[]; all: boolean };
    const found = ids.map((id) => answers.get(id));
    // Beyond the end of what was recorded nothing is known.
    if (found.some((answer) => answer === undefined)) return asked;
    now = new Date(Math.max(...found.map((answer) => Date.parse(answer?.at ?? ''))));
    const values = found.map((answer) => answer?.value);
    step = run.next(all ? values : values[0]);
  }
  return asked;
}

describe('recorded histories', () => {
  const folder = new URL('histories/', import.meta.url);
  const names = readdirSync(folder).map((file) => file.replace(/\.json$/, ''));

  it.each(names)('%s asks for the same things in the same order as when it was recorded', (name) => {
    const history = JSON.parse(readFileSync(new URL(`${name}.json`, folder), 'utf8')) as HistoryEvent[];
    const orchestrator = ORCHESTRATORS[name.split('-')[0] ?? ''];
    if (!orchestrator) throw new Error(`no orchestrator of this name: ${name}`);
    expect(replay(orchestrator, history)).toEqual(recorded(history).asked);
  });

  it('are of every orchestrator, and of each branch of a backup', () => {
    expect(new Set(names.map((name) => name.split('-')[0]))).toEqual(new Set(Object.keys(ORCHESTRATORS)));
    expect(names.filter((name) => name.includes('-')).sort()).toEqual([
      'backUpMachine-guest',
      'backUpMachine-inline',
      'backUpMachine-moment',
      'backUpMachine-snapshots',
    ]);
  });

  it('show a change of order', () => {
    const history = JSON.parse(readFileSync(new URL('backUpMachine.json', folder), 'utf8')) as HistoryEvent[];
    const changed: Orchestrator = function* (context) {
      yield context.df.callActivity('snapshotDisk', context.df.getInput());
    };
    expect(replay(changed, history)).not.toEqual(recorded(history).asked);
  });
});
