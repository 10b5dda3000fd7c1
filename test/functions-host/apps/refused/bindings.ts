import { app, output } from '@azure/functions';
import * as df from 'durable-functions';

/** Uses what the local host does not run. */
app.storageQueue('onQueue', { queueName: 'q', connection: 'c', handler: () => undefined });
app.http('writesBlob', {
  extraOutputs: [output.storageBlob({ path: 'a/b', connection: 'c' })],
  handler: () => ({}),
});
app.timer('retriedTimer', {
  schedule: '0 * * * * *',
  retry: { strategy: 'fixedDelay', delayInterval: 1000, maxRetryCount: 2 },
  handler: () => undefined,
});
df.app.entity('counter', () => undefined);
