import { expect, test } from 'vitest';
import { AdaptiveLimit } from '../../lib/azure/adaptiveLimit.ts';

test('busy halves the places, once for all that was under way; served requests win them back one by one', async () => {
  const limit = new AdaptiveLimit({ most: 8 });
  const first = await Promise.all(Array.from({ length: 8 }, () => limit.enter()));
  for (const leave of first) leave('busy');
  expect(limit.places).toBe(4);
  for (let i = 0; i < 5; i++) (await limit.enter())('served');
  expect(limit.places).toBe(5);
  for (let i = 0; i < 100; i++) (await limit.enter())('served');
  expect(limit.places).toBe(8);
  for (let i = 0; i < 9; i++) (await limit.enter())('busy');
  expect(limit.places).toBe(1);
});

test('no more are let in than there are places; who waits is let in in turn, or leaves when aborted', async () => {
  const limit = new AdaptiveLimit({ most: 2 });
  const [one, two] = [await limit.enter(), await limit.enter()];
  const order: string[] = [];
  const abort = new AbortController();
  const third = limit.enter().then((leave) => {
    order.push('third');
    return leave;
  });
  const fourth = limit.enter(abort.signal);
  const fifth = limit.enter().then((leave) => {
    order.push('fifth');
    return leave;
  });
  abort.abort(new Error('enough'));
  await expect(fourth).rejects.toThrow('enough');
  one('failed');
  (await third)('served');
  await fifth;
  two('served');
  two('served');
  expect(order).toEqual(['third', 'fifth']);
});
