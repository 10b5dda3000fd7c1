import { appendFileSync } from 'node:fs';
import * as df from 'durable-functions';

/** An app to be killed: each activity writes that it began, and asks whoever runs the test before it ends. */
const log = process.env['KILL_TEST_LOG'] ?? '';
const url = process.env['KILL_TEST_URL'] ?? '';

df.app.activity('step', {
  handler: async (key: string) => {
    appendFileSync(log, `${key}\n`);
    const answer = await fetch(url, { method: 'POST', body: key });
    await answer.text();
    return key.length;
  },
});

/** Four activities side by side, a timer, and four in a row: all of it counts. */
df.app.orchestration('work', function* (context) {
  const id = context.df.instanceId;
  const side = [0, 1, 2, 3].map((n) => context.df.callActivity('step', `${id}/side-${n}`));
  const lengths: number[] = yield context.df.Task.all(side);
  yield context.df.createTimer(new Date(context.df.currentUtcDateTime.getTime() + 5));
  for (const n of [0, 1, 2, 3])
    lengths.push((yield context.df.callActivity('step', `${id}/row-${n}`)) as number);
  return lengths.reduce((sum, length) => sum + length, 0);
} as df.OrchestrationHandler);

df.app.orchestration('all', function* (context) {
  const ids = context.df.getInput<string[]>();
  const children = ids.map((id) => context.df.callSubOrchestrator('work', null, id));
  return (yield context.df.Task.all(children)) as unknown;
} as df.OrchestrationHandler);
