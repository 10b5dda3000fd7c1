import * as fc from 'fast-check';

/**
 * Random orchestrations as data, and what running one must give, worked out here by a simple interpreter that
 * knows nothing of events, ids and replays: only of values and of times.
 *
 * Nothing inside a compound (all, any) ever fails. There the real host and the library count tasks differently
 * when one child fails while a sibling is retried, and the instance hangs: a known incompatibility that the
 * app must avoid (it returns errors from what it fans out) and that this host reproduces and warns about. So
 * failures, and retries after failures, are generated at the top level only.
 */
export type Part =
  | { do: 'echo'; value: unknown }
  | { do: 'timer'; ms: number }
  | { do: 'event'; name: string; value: unknown }
  | { do: 'flaky'; key: string; failures: number; attempts: number; first: number }
  | { do: 'child'; program: Program; attempts: number }
  | { do: 'all'; parts: Part[] };

export type Step = Part | { do: 'any'; parts: Part[]; cancel: boolean };

export interface Program {
  steps: Step[];
  /** The program ends by an activity that fails so often before it succeeds. */
  fails?: { key: string; failures: number } | undefined;
}

const value = fc.oneof(
  fc.integer(),
  fc.string(),
  fc.constantFrom(null, '', '1', 'null'),
  fc.jsonValue({ maxDepth: 1 }),
);
const day = 86_400_000;
// Not just under six days, where timers begin to be made of hops: the host looks at a timer that follows a race
// with a cancelled timer as if the race had taken no time, and may split it where the library does not.
const timerMs = fc.oneof(
  fc.integer({ min: 1, max: 100_000 }),
  fc.constantFrom(day, 5 * day, 6.5 * day, 20 * day),
);

const echo = value.map((one): Part => ({ do: 'echo', value: one }));
const timer = timerMs.map((ms): Part => ({ do: 'timer', ms }));
const event = value.map((one): Part => ({ do: 'event', name: '', value: one }));
const calm = fc
  .integer({ min: 1, max: 3 })
  .map((attempts): Part => ({ do: 'flaky', key: '', failures: 0, attempts, first: 1000 }));
const flaky = fc
  .record({
    failures: fc.integer({ min: 0, max: 4 }),
    attempts: fc.integer({ min: 1, max: 3 }),
    first: timerMs,
  })
  .map((fields): Part => ({ do: 'flaky', key: '', ...fields }));

/** What may stand inside a compound. Events are raised for the root alone: a child's id is not known outside. */
const calmPart = (depth: number, isRoot: boolean): fc.Arbitrary<Part> => {
  const parts: fc.Arbitrary<Part>[] = [echo, timer, calm];
  if (isRoot) parts.push(event);
  if (depth > 0) {
    parts.push(
      compound(depth - 1, isRoot).map((list): Part => ({ do: 'all', parts: list })),
      program(depth - 1, 'calm').map((one): Part => ({ do: 'child', program: one, attempts: 0 })),
    );
  }
  return fc.oneof(...parts);
};

const compound = (depth: number, isRoot: boolean): fc.Arbitrary<Part[]> =>
  fc.array(calmPart(depth, isRoot), { minLength: 1, maxLength: 4 });

/**
 * A race. All that can win at once gives the same value, because which of them wins is up to the machine;
 * otherwise the shortest timer wins.
 */
const any = (isRoot: boolean): fc.Arbitrary<Step> =>
  fc
    .record({
      value,
      now: fc.array(fc.boolean(), { maxLength: 3 }),
      timers: fc.uniqueArray(fc.integer({ min: 1, max: 100_000 }), { minLength: 1, maxLength: 3 }),
      cancel: fc.boolean(),
    })
    .map(({ value: one, now, timers, cancel }): Step => {
      const atOnce = now.map(
        (asEvent): Part =>
          asEvent && isRoot ? { do: 'event', name: '', value: one } : { do: 'echo', value: one },
      );
      return { do: 'any', parts: [...atOnce, ...timers.map((ms): Part => ({ do: 'timer', ms }))], cancel };
    });

/** `calm` programs contain no failure at any depth. */
const program = (depth: number, kind: 'root' | 'child' | 'calm'): fc.Arbitrary<Program> => {
  const isRoot = kind === 'root';
  const steps: fc.Arbitrary<Step>[] = [echo, timer, calm, any(isRoot)];
  if (isRoot) steps.push(event);
  if (kind !== 'calm') steps.push(flaky);
  if (depth > 0) {
    steps.push(compound(depth - 1, isRoot).map((parts): Step => ({ do: 'all', parts })));
    const attempts = kind === 'calm' ? fc.constant(0) : fc.integer({ min: 0, max: 3 });
    const child = program(depth - 1, kind === 'calm' ? 'calm' : 'child');
    steps.push(fc.record({ program: child, attempts }).map((fields): Step => ({ do: 'child', ...fields })));
  }
  const failures =
    kind === 'child'
      ? fc.option(fc.integer({ min: 1, max: 3 }), { freq: 3, nil: undefined })
      : fc.constant(undefined);
  return fc.record({ steps: fc.array(fc.oneof(...steps), { maxLength: 5 }), failures }).map((fields) => ({
    steps: fields.steps,
    ...(fields.failures === undefined ? {} : { fails: { key: '', failures: fields.failures } }),
  }));
};

export interface Sample {
  program: Program;
  pauses: boolean[];
}

/** Programs with children up to three deep, the root itself never failing, and when to suspend them. */
export const samples: fc.Arbitrary<Sample> = fc.record({
  program: program(3, 'root'),
  pauses: fc.array(fc.boolean(), { maxLength: 6 }),
});

/** Gives each key and event of a program a name of its own, so that none meets another's. */
export function named(root: Program, prefix: string): Program {
  let count = 0;
  const name = (): string => `${prefix}-${count++}`;
  const step = (one: Step): Step => {
    switch (one.do) {
      case 'event':
        return { ...one, name: name() };
      case 'flaky':
        return { ...one, key: name() };
      case 'child':
        return { ...one, program: whole(one.program) };
      case 'all':
        return { ...one, parts: one.parts.map(step) as Part[] };
      case 'any':
        return { ...one, parts: one.parts.map(step) as Part[] };
      default:
        return one;
    }
  };
  const whole = (one: Program): Program => ({
    steps: one.steps.map(step),
    ...(one.fails ? { fails: { key: name(), failures: one.fails.failures } } : {}),
  });
  return whole(root);
}

interface Ran {
  value?: unknown;
  error?: string;
  /** When the step is over, ms from the start of the root. */
  at: number;
}

/** Works out what the program returns. */
export function expectedOutput(root: Program): { results: unknown[]; elapsed: number } {
  const counts = new Map<string, number>();
  const ran = runProgram(root, 0, counts);
  return ran.value as { results: unknown[]; elapsed: number };
}

function call(key: string, failures: number, counts: Map<string, number>): string | undefined {
  const count = (counts.get(key) ?? 0) + 1;
  counts.set(key, count);
  return count <= failures ? `Activity function 'flaky' failed:  ${key} failed ${count}` : undefined;
}

function runProgram(program: Program, started: number, counts: Map<string, number>): Ran {
  const results: unknown[] = [];
  let now = started;
  // A program that has returned is not over before the last timer that it left running.
  let open = started;
  for (const step of program.steps) {
    if (step.do === 'any' && !step.cancel) {
      for (const part of step.parts) if (part.do === 'timer') open = Math.max(open, now + part.ms);
    }
    const ran = run(step, now, counts);
    now = ran.at;
    results.push(ran.error === undefined ? (ran.value ?? null) : `caught ${ran.error}`);
  }
  const at = Math.max(now, open);
  const error = program.fails && call(program.fails.key, program.fails.failures, counts);
  if (error) return { error: `Orchestrator function 'program' failed: ${error}`, at };
  return { value: { results, elapsed: now - started }, at };
}

function run(step: Step, now: number, counts: Map<string, number>): Ran {
  switch (step.do) {
    case 'echo':
    case 'event':
      return { value: step.value, at: now };
    case 'timer':
      return { value: null, at: now + step.ms };
    case 'flaky':
      return retried(step.attempts, step.first, now, (at) => {
        const error = call(step.key, step.failures, counts);
        return error === undefined ? { value: step.key, at } : { error, at };
      });
    case 'child':
      return retried(step.attempts || 1, 1000, now, (at) => runProgram(step.program, at, counts));
    case 'all': {
      const parts = step.parts.map((part) => run(part, now, counts));
      return {
        value: parts.map((part) => part.value ?? null),
        at: Math.max(...parts.map((part) => part.at)),
      };
    }
    case 'any': {
      const timers = step.parts.filter((part) => part.do === 'timer').map((part) => part.ms);
      const atOnce = step.parts.find((part) => part.do !== 'timer');
      if (atOnce) return run(atOnce, now, counts);
      const shortest = Math.min(...timers);
      return { value: `timer ${shortest}`, at: now + shortest };
    }
  }
}

/** What the host takes for the longest delay when RetryOptions name none. */
const longestRetryDelay = 6 * day;

function retried(attempts: number, first: number, now: number, attempt: (at: number) => Ran): Ran {
  let ran = attempt(now);
  for (let n = 1; n < attempts && ran.error !== undefined; n++)
    ran = attempt(ran.at + Math.min(first, longestRetryDelay));
  return ran;
}

/** The events that a root program waits for, each once. */
export function eventsOf(program: Program): { name: string; value: unknown }[] {
  const of = (step: Step): { name: string; value: unknown }[] => {
    switch (step.do) {
      case 'event':
        return [{ name: step.name, value: step.value }];
      case 'all':
      case 'any':
        return step.parts.flatMap(of);
      default:
        return [];
    }
  };
  return program.steps.flatMap(of);
}
