import { app } from '@azure/functions';
import * as df from 'durable-functions';
import { durableInstances } from '../activities/instances.ts';
import { openInstallation } from '../lib/installation/index.ts';
import { sweep } from '../lib/sessions/index.ts';

/** Every five minutes: releases what belongs to no live session. */
app.timer('sweep', {
  schedule: '30 */5 * * * *',
  // After a stop there may be something to release: at once, not in five minutes.
  runOnStartup: true,
  extraInputs: [df.input.durableClient()],
  handler: async (_timer, context) => {
    const { ended, left } = await sweep(await openInstallation(), durableInstances(df.getClient(context)));
    for (const id of ended) context.warn(`The sweep ended session ${id}.`);
    for (const what of left) context.warn(`The sweep will try again: ${what}`);
  },
});
