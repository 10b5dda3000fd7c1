/**
 * Looks for a task in two yields, such as `any([a, b])` and later `any([b, timer])`. The real host starts it
 * twice, because on the wire an action has no identity. In process the library hands us the action objects
 * themselves, so the same object met twice is that mistake.
 *
 * `state` is the library's own answer, before it becomes JSON. Returns the names of what is met twice.
 */
export function actionsYieldedTwice(state: unknown): string[] {
  const seen = new Set<object>();
  const twice = new Set<string>();
  const visit = (action: unknown): void => {
    if (!isObject(action)) return;
    if (seen.has(action)) twice.add(nameOf(action));
    seen.add(action);
    if (Array.isArray(action['compoundActions'])) action['compoundActions'].forEach(visit);
  };
  const yields = isObject(state) && Array.isArray(state['actions']) ? state['actions'] : [];
  for (const list of yields) if (Array.isArray(list)) list.forEach(visit);
  return [...twice];
}

/** What to tell about `actionsYieldedTwice`. */
export function yieldedTwiceAdvice(names: readonly string[]): string {
  return (
    `the same task is part of two yields (${names.join(', ')}); the real host starts it twice. Make a new ` +
    'task for each Task.any and Task.all, or wait in a child orchestration.'
  );
}

function nameOf(action: Record<string, unknown>): string {
  for (const key of ['functionName', 'externalEventName']) {
    const name = action[key];
    if (typeof name === 'string') return `'${name}'`;
  }
  return action['fireAt'] instanceof Date ? 'a timer' : 'a compound task';
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
