import * as df from 'durable-functions';
import type { Part, Program, Step } from '../programs.ts';

/** An app whose one orchestrator runs the program that is its input. */
const counts = new Map<string, number>();

df.app.activity('echo', { handler: (value: unknown) => value });

/** Fails as often as it is told, for each key; then answers the key. */
df.app.activity('flaky', {
  handler: ({ key, failures }: { key: string; failures: number }) => {
    const count = (counts.get(key) ?? 0) + 1;
    counts.set(key, count);
    if (count <= failures) throw new Error(`${key} failed ${count}`);
    return key;
  },
});

type Context = Parameters<df.OrchestrationHandler>[0];
type Run<T> = Generator<df.Task, T, unknown>;

const retry = (first: number, attempts: number): df.RetryOptions => new df.RetryOptions(first, attempts);

function taskOf(context: Context, part: Part): df.Task {
  switch (part.do) {
    case 'echo':
      return context.df.callActivity('echo', part.value);
    case 'timer':
      return context.df.createTimer(new Date(context.df.currentUtcDateTime.getTime() + part.ms));
    case 'event':
      return context.df.waitForExternalEvent(part.name);
    case 'flaky': {
      const { key, failures, attempts, first } = part;
      return context.df.callActivityWithRetry('flaky', retry(first, attempts), { key, failures });
    }
    case 'child':
      if (!part.attempts) return context.df.callSubOrchestrator('program', part.program);
      return context.df.callSubOrchestratorWithRetry('program', retry(1000, part.attempts), part.program);
    case 'all':
      return context.df.Task.all(part.parts.map((one) => taskOf(context, one)));
  }
}

/** A timer has no value; the library answers the list of its hops for a long one. */
function valueOf(part: Part, result: unknown): unknown {
  if (part.do === 'timer') return null;
  return part.do === 'all' ? part.parts.map((one, i) => valueOf(one, (result as unknown[])[i])) : result;
}

function* runStep(context: Context, step: Step): Run<unknown> {
  if (step.do !== 'any') return valueOf(step, yield taskOf(context, step));
  const tasks = step.parts.map((part) => taskOf(context, part));
  const winner = (yield context.df.Task.any(tasks)) as df.Task;
  for (const [index, task] of tasks.entries()) {
    if (step.cancel && step.parts[index]?.do === 'timer' && !task.isCompleted)
      (task as df.TimerTask).cancel();
  }
  const part = step.parts[tasks.indexOf(winner)];
  return part?.do === 'timer' ? `timer ${part.ms}` : winner.result;
}

function* run(context: Context): Run<unknown> {
  const program = context.df.getInput<Program>();
  const started = context.df.currentUtcDateTime.getTime();
  const results: unknown[] = [];
  for (const step of program.steps) {
    try {
      results.push((yield* runStep(context, step)) ?? null);
    } catch (error) {
      results.push(`caught ${(error as Error).message.split(' \n ')[0] ?? ''}`);
    }
  }
  if (program.fails) {
    yield context.df.callActivity('flaky', program.fails);
  }
  return { results, elapsed: context.df.currentUtcDateTime.getTime() - started };
}

df.app.orchestration('program', run as unknown as df.OrchestrationHandler);
