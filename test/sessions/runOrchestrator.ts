/**
 * Runs an orchestrator without a host: each task is done when it is yielded, timers are moved past. For tests of what the
 * activities do in the order that orchestrators give; replay and durability are the host's tests.
 */
import type { OrchestrationContext, Task } from 'durable-functions';
import type { Outcome } from '../../activities/names.ts';
import { awaitCondition } from '../../orchestrators/awaitCondition.ts';

type Planned =
  | { readonly kind: 'activity'; readonly name: string; readonly input: unknown }
  | { readonly kind: 'child'; readonly name: string; readonly input: unknown }
  | { readonly kind: 'timer'; readonly until: Date }
  | { readonly kind: 'all'; readonly tasks: readonly Planned[] };

export interface World {
  /** Does an activity. */
  activity(name: string, input: unknown): Promise<Outcome<unknown>>;
  now(): Date;
  /** A timer is waited for. */
  wait(until: Date): Promise<void>;
}

export type Orchestrator = (context: OrchestrationContext) => Generator<Task, unknown, unknown>;

export async function runOrchestrator(
  orchestrator: Orchestrator,
  input: unknown,
  world: World,
): Promise<unknown> {
  for (let current = input; ; ) {
    let next: { readonly input: unknown } | null = null;
    const context = contextOf(current, world, (again) => {
      next = { input: again };
    });
    const result = await drive(orchestrator(context), world);
    if (next === null) return result;
    current = (next as { input: unknown }).input;
  }
}

async function drive(run: Generator<Task, unknown, unknown>, world: World): Promise<unknown> {
  let step = run.next();
  while (!step.done) {
    let done: { readonly value: unknown } | { readonly error: unknown };
    try {
      done = { value: await perform(step.value as unknown as Planned, world) };
    } catch (error) {
      if (error instanceof Terminated) throw error;
      done = { error };
    }
    step = 'error' in done ? run.throw(done.error) : run.next(done.value);
  }
  return step.value;
}

/** Thrown by a `World` to end an orchestration from outside: nothing of it runs afterwards, not even a finally. */
export class Terminated extends Error {}

async function perform(task: Planned, world: World): Promise<unknown> {
  switch (task.kind) {
    case 'activity':
      // What crosses a host is JSON.
      return JSON.parse(
        JSON.stringify(await world.activity(task.name, JSON.parse(JSON.stringify(task.input)))),
      );
    case 'timer':
      return world.wait(task.until);
    case 'child':
      if (task.name !== 'awaitCondition') throw new Error(`${task.name} is no child orchestrator.`);
      return runOrchestrator(awaitCondition, task.input, world);
    case 'all':
      return Promise.all(task.tasks.map((one) => perform(one, world)));
  }
}

function contextOf(input: unknown, world: World, again: (input: unknown) => void): OrchestrationContext {
  const df = {
    getInput: () => input,
    get currentUtcDateTime() {
      return world.now();
    },
    callActivity: (name: string, activityInput: unknown): Planned => ({
      kind: 'activity',
      name,
      input: activityInput,
    }),
    callSubOrchestrator: (name: string, childInput: unknown): Planned => ({
      kind: 'child',
      name,
      input: childInput,
    }),
    createTimer: (until: Date): Planned => ({ kind: 'timer', until }),
    continueAsNew: again,
    Task: { all: (tasks: Planned[]): Planned => ({ kind: 'all', tasks }) },
  };
  return { df } as unknown as OrchestrationContext;
}
