const POLL_MS = 40;

/** Asks again until the answer is neither undefined nor false; fails after `ms`, saying what never came. */
export async function until<T>(
  what: string,
  ask: () => T | Promise<T>,
  ms = 60_000,
): Promise<Exclude<T, undefined | false>> {
  const deadline = performance.now() + ms;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined && answer !== false) return answer as Exclude<T, undefined | false>;
    if (performance.now() > deadline) throw new Error(`Waited ${ms / 1000} s in vain for: ${what}.`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}
