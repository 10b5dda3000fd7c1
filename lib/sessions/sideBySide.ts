/** Does the work for each item, at most so many at once. The first failure is thrown when the work under way has ended. */
export async function sideBySide<T>(
  items: readonly T[],
  lanes: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const left = [...items];
  const lane = async (): Promise<void> => {
    for (let item = left.shift(); item !== undefined; item = left.shift()) await work(item);
  };
  const ended = await Promise.allSettled(Array.from({ length: Math.min(lanes, left.length) }, lane));
  for (const one of ended) if (one.status === 'rejected') throw one.reason;
}
